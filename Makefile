# The few commands a person types. What they do is in scripts/.
.PHONY: help run test lint bench fuzz clean-run

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: ## RabbitMQ, the service and one sample payment; stays until Ctrl-C
	@scripts/run

test: ## every test, against a private RabbitMQ; ARGS="--test NAME" for some of them
	@scripts/test $(ARGS)

lint: ## formatting, clippy, shell scripts, compose file, licences
	@scripts/lint

bench: ## load on the real program: latency and memory; ARGS="paced --pages 5000 --rate 1000" for one of them
	@scripts/bench $(ARGS)

fuzz: ## inputs of libFuzzer's making, 10 minutes a target; ARGS="event 3600" for one of them
	@scripts/fuzz $(ARGS)

clean-run: ## stop what make run and make test started, and remove .run
	@scripts/clean-run
