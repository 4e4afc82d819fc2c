/** The page settings. */
