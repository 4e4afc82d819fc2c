/** The page keys. */
