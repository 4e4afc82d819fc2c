.PHONY: help check run fix
help: ## show these lines
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile
check: ## format check, lint, types, tests: what CI runs
	@scripts/test
run: ## set up if need be, then serve
	@scripts/serve
fix: ## format, and mend what lint can mend
	@scripts/venv dev
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .
