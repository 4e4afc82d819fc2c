"""The pages for the owner: accounts, frame, and one module a page."""
