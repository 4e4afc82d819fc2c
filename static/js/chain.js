/** The page chain. */
