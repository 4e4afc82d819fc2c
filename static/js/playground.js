/** The page Playground: conversations with the pool, and what each answer cost in time. */

import { act } from "./playground-ask.js";
import { edit, type } from "./playground-composer.js";
import { desk, onShow, saveSoon, show } from "./playground-desk.js";
import * as rail from "./playground-options.js";
import "./playground-talks.js";
import { bindTurns, toEnd } from "./playground-turns.js";

rail.bind(() => desk.talk.options, saveSoon);
onShow(() => rail.show(desk.talk.options));
bindTurns({ act, edit, type });

show();
if (desk.talk.turns.length) toEnd();
