/** The page playground. */
