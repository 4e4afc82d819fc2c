/** The page analytics. */
