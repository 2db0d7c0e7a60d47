# Targets for people; `make help` lists them. Nothing but git, make and Python 3.11-3.13 with venv is needed.

PYTHON ?= python3
EXTRA ?= cpu
JOBS ?= 3
UV_VERSION := 0.13.8
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# Once, and not in every process where Python may not write what it compiled.
export UV_COMPILE_BYTECODE := 1

.PHONY: help install demo test coverage lint audit long mutants bench clean

help:                           ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install: .venv/.installed       ## Create .venv with radnode, its locked dependencies and the test tools

.venv/.installed: uv.lock pyproject.toml $(UV)
	$(UV) sync --quiet --frozen --extra $(EXTRA) --python $(PYTHON)
	@touch $@

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

demo: install                   ## Send made-up chest X-rays through the whole node and show what comes back
	.venv/bin/radnode demo

test: install                   ## Run the tests; those that need real images are skipped where there are none
	.venv/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

COVERING := tests/test_states.py $(addprefix tests/archive/,test_durability.py test_header.py test_identity.py test_journal.py test_keep.py \
	test_outline.py test_part.py test_removal.py test_walk.py) \
	$(addprefix tests/association/,test_allowlist.py test_incoming.py test_proposal.py) \
	tests/commitment/test_information.py \
	$(addprefix tests/results/,test_items.py test_placement.py test_references.py) \
	$(addprefix tests/studies/,test_admission.py test_arrival.py test_association_rows.py test_claims.py test_index.py \
	test_intake.py)

coverage: install               ## See that quick tests take every branch of what nobody may get past (pyproject.toml)
	.venv/bin/coverage run -m pytest -q $(COVERING)
	.venv/bin/coverage report

lint: install                   ## Style, types and import rules
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

audit: install                  ## List the parts (dist/radnode.cdx.json) and look for published vulnerabilities
	.ci/audit

long: install                   ## The tests that take minutes or need a browser
	.venv/bin/python -m pytest -m long

bench: install                  ## Compare the node with its peers on this machine; writes docs/performance.md (as root)
	.venv/bin/radnode bench all --json dist/bench.json --plot docs/performance --page docs/performance.md

mutants: install                ## Put small faults into the same modules, one at a time: nine in ten must be noticed
	PYTHONPATH=tests .venv/bin/python -m mutations.score

clean:                          ## Remove what `install` and the tests made
	rm -rf .venv .uv .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
