# The few commands a person types. What they do is in scripts/.
.PHONY: help run demo test test-brokers test-builds test-upgrade package test-package lint bench fuzz clean-run

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## RabbitMQ, the service and one sample payment; stays until Ctrl-C
	@scripts/run

demo: ## make run with a payment provider and the worker that queries it: a page plays a lost callback and how it heals
	@scripts/run --tour

test: ## every test, against a private RabbitMQ; ARGS="--test NAME" for some of them
	@scripts/test $(ARGS)

test-brokers: ## the tests that speak with a broker, on RabbitMQ 3.10 and on 4.0; the other line comes by debootstrap (root)
	@scripts/test --brokers $(ARGS)

test-builds: ## the mini-program package, built by uni-app, Taro, Vite, webpack, esbuild and TypeScript, until a page shows the result
	@scripts/test --builds

package: ## the Debian package, in target/dist, with the stripped program and its debug information beside it
	@scripts/package

test-package: ## the Debian package in a Debian of its own: installed, started, upgraded, removed, purged (root)
	@scripts/test-package

test-upgrade: ## an older program beside this one, on one PostgreSQL and one file; ARGS=PROGRAM
	@scripts/test-upgrade $(ARGS)

lint: ## formatting, clippy, shell scripts, compose file, dependencies, workflows
	@scripts/lint

bench: ## speed and memory beside what could be used instead (an hour); ARGS=quick, or ARGS="flood --rounds 3" for one part
	@scripts/bench $(ARGS)

fuzz: ## inputs of libFuzzer's making, 10 minutes a target; ARGS="event 3600" for one of them
	@scripts/fuzz $(ARGS)

clean-run: ## stop what make run and make test started, and remove .run
	@scripts/clean-run
