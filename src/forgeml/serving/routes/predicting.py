"""The routes that ask the model: one way from a body to an answer, whichever format it is in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastapi import Request, Response

from forgeml.serving.answering.answerer import Answerer, Patience
from forgeml.serving.asking import Asked, Facts
from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.routes.route import Handler, Route, as_json
from forgeml.serving.strict_json import parse_json
from forgeml.serving.wire import huggingface, inference_protocol, mlflow, native

INFER = "/v2/models/{name}/infer"
INFER_BY_VERSION = "/v2/models/{name}/versions/{version}/infer"

Parse = Callable[[Any, Facts, Limits], Asked]


def routes(answerer: Answerer, limits: Limits) -> list[Route]:
    """The routes that ask the model."""

    def by(parse: Parse) -> Handler:
        return partial(_predict, answerer, limits, parse)

    infer = by(inference_protocol.parse_infer)
    protocol = "open inference protocol"
    return [
        Route("POST", "/predict", by(native.parse_one), "predict", "Classify one text."),
        Route("POST", "/predict/batch", by(native.parse_many), "predict", "Classify several texts."),
        Route("POST", "/explain", partial(_explain, answerer, limits), "predict", "Which words an answer rests on."),
        Route("POST", "/", by(huggingface.parse), "other formats", "The format of Hugging Face's services."),
        Route("POST", "/invocations", by(mlflow.parse), "other formats", "The format of MLflow and SageMaker."),
        Route("POST", INFER, infer, protocol, "Classify texts."),
        Route("POST", INFER_BY_VERSION, infer, protocol, "The same, if this version answers.", shape=INFER),
    ]


def check_named(facts: Facts, named: Mapping[str, str]) -> None:
    """See that the model that the path names, and its version if it names one, is the one that answers.

    Raises:
        Refusal: it is not.
    """
    if named.get("name", facts.name) != facts.name:
        raise Refusal(404, "no_such_model", f"there is no model of that name; this server has {facts.name!r}")
    if named.get("version", facts.version) != facts.version:
        raise Refusal(404, "no_such_version", f"the version that answers is {facts.version}")


async def _predict(answerer: Answerer, limits: Limits, parse: Parse, exchange: Exchange, request: Request) -> Response:
    answerer.refuse_if_full()
    value = parse_json(exchange.body)

    def understood(facts: Facts) -> Asked:
        check_named(facts, request.path_params)
        return parse(value, facts, limits)

    asked, answers = await answerer.answer(understood, _patience(exchange, request, limits))
    exchange.texts, exchange.model_version = len(asked.texts), answers.facts.version
    return as_json(asked.render(answers))


async def _explain(answerer: Answerer, limits: Limits, exchange: Exchange, request: Request) -> Response:
    value = parse_json(exchange.body)
    explanation, facts = await answerer.explain(
        lambda facts: native.parse_explain(value, facts), _patience(exchange, request, limits)
    )
    exchange.texts, exchange.model_version = 1, facts.version
    return as_json({**explanation.as_dict(), "model_version": facts.version})


def _patience(exchange: Exchange, request: Request, limits: Limits) -> Patience:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return Patience(asyncio.get_running_loop().time() + limits.answer_s - exchange.seconds, gone)
