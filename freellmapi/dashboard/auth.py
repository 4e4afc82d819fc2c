"""The blueprint ``dashboard``: the first account, logging in and out, a new password."""

from __future__ import annotations

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.csrf import generate_csrf

from freellmapi.core.errors import GatewayError
from freellmapi.dashboard import guard, sessions
from freellmapi.dashboard.doorman import TooMany
from freellmapi.dashboard.forms import LoginForm, PasswordForm, SetupForm
from freellmapi.dashboard.parts import parts
from freellmapi.services import services
from freellmapi.storage.accounts import Account, AccountExists

bp = Blueprint("dashboard", __name__)


@bp.get("/")
def home() -> ResponseReturnValue:
    return redirect(url_for("keys.page"))


@bp.get("/login")
def login() -> ResponseReturnValue:
    if not services().accounts.any():
        return redirect(url_for("dashboard.setup"))
    if sessions.current() is not None:
        return redirect(_wanted())
    return render_template("dashboard/login.html", form=LoginForm())


@bp.post("/login")
def check_login() -> ResponseReturnValue:
    form = LoginForm()
    account = _admitted(form) if form.validate_on_submit() else None
    if account is None:
        return _not_admitted(form, "dashboard/login.html")
    return _entered(account)


@bp.get("/setup")
def setup() -> ResponseReturnValue:
    if services().accounts.any():
        return redirect(url_for("dashboard.login"))
    return _setup_page(SetupForm())


@bp.post("/setup")
def create_account() -> ResponseReturnValue:
    form = SetupForm()
    # The code first: whoever does not know it learns nothing about names or passwords.
    if not (_may_set_up(form) and form.validate_on_submit()):
        return _setup_page(form)
    try:
        account = parts().doorman.create_first(form.name.data or "", form.password.data or "")
    except AccountExists as exc:
        flash(str(exc))
        return redirect(url_for("dashboard.login"))
    return _entered(account)


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    sessions.end()
    return redirect(url_for("dashboard.login"))


@bp.get("/account")
def account() -> ResponseReturnValue:
    return render_template("dashboard/account.html", form=PasswordForm(), account=g.account)


@bp.post("/account")
def change_password() -> ResponseReturnValue:
    form = PasswordForm()
    if form.validate_on_submit() and _confirmed(form):
        changed = parts().doorman.set_password(g.account.name, form.password.data or "")
        sessions.begin(changed)
        message = "Your password is changed. Everybody else who was logged in is logged out."
        if guard.wants_json():
            return jsonify(message=message)
        flash(message)
        return redirect(url_for("dashboard.account"))
    if guard.wants_json():
        return _told(form, "wrong_password")
    page = render_template("dashboard/account.html", form=form, account=g.account)
    return make_response(page, _status(form))


def _admitted(form: LoginForm) -> Account | None:
    """The account; None with the reason at the form's field."""
    name, password = form.name.data or "", form.password.data or ""
    try:
        account = parts().doorman.admit(guard.guesser(name), name, password)
    except TooMany as exc:
        g.wait = exc.seconds
        _complain(form, "password", str(exc))
        return None
    if account is None:
        _complain(form, "password", "Name and password do not belong together.")
    return account


def _confirmed(form: PasswordForm) -> bool:
    try:
        guard.confirm(form.current.data or "")
    except GatewayError as exc:
        g.wait = exc.retry_after
        _complain(form, "current", exc.message)
        return False
    return True


def _may_set_up(form: SetupForm) -> bool:
    """On this machine, yes; from elsewhere with the code that stands in the log."""
    if sessions.is_this_machine():
        return True
    form.validate()
    try:
        if parts().doorman.knows_setup_code(sessions.address(), form.code.data or ""):
            return True
        _complain(form, "code", "That is not the code. The server prints it in its log at start.")
    except TooMany as exc:
        g.wait = exc.seconds
        _complain(form, "code", str(exc).replace("passwords", "codes"))
    return False


def _setup_page(form: SetupForm) -> Response:
    page = render_template(
        "dashboard/setup.html", form=form, needs_code=not sessions.is_this_machine()
    )
    return make_response(page, _status(form))


def _not_admitted(form: FlaskForm, template: str) -> ResponseReturnValue:
    if guard.wants_json():
        return _told(form, "login_failed")
    response = make_response(render_template(template, form=form), _status(form))
    return response


def _told(form: FlaskForm, code: str) -> ResponseReturnValue:
    """For a script: the first of what is wrong, at its field."""
    field, said = next(iter(form.errors.items()), ("password", ["Enter your password."]))
    error = GatewayError(_status(form), said[0], code=code, param=field)
    return jsonify(**error.body(), csrf_token=generate_csrf()), _status(form)


def _entered(account: Account) -> ResponseReturnValue:
    sessions.begin(account)
    if guard.wants_json():
        response = jsonify(name=account.name, csrf_token=generate_csrf())
    else:
        response = make_response(redirect(_wanted()))
    sessions.remember_device(current_app, account.name, response)
    return response


def _status(form: FlaskForm) -> int:
    if g.get("wait"):
        return 429
    return 422 if form.errors else 200


def _complain(form: FlaskForm, field: str, message: str) -> None:
    form[field].errors = [*form[field].errors, message]


def _wanted() -> str:
    """Where the visitor was going; only ever a page of ours."""
    path = request.args.get("next", "")
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else url_for("keys.page")
