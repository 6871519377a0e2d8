"""Ask from a program of your own, with types all the way: synchronously, and from an event loop.

    python examples/typed_client.py AAPL      # starts the services that do not run; they go on running

`make lint` checks it with mypy --strict, as a user's type checker would: each `assert_type` is a promise of the package.
"""

from __future__ import annotations

import asyncio
import sys
from typing import assert_type

from evolve import AsyncClient, Evidence, EvolveError, ServiceClient, ServiceManager
from evolve.cards import EvaluationCard, ModelCard, QueryResult
from evolve.contracts.model_builder import BuildModel, ListModels, ModelBuilt, ModelsListed
from evolve.contracts.performance_critic import EvaluateModel
from evolve.contracts.quant_gpt import ProcessQuery


def judged(symbol: str) -> EvaluationCard:
    """A ridge model of the symbol, evaluated."""
    with ServiceClient() as client:
        answer = client.ask(ProcessQuery(query=f"What's happening with {symbol}?"))
        assert_type(answer.result, QueryResult)
        print(answer.result.gpt_commentary)

        built = client.ask(BuildModel(model_type="ridge", symbol=symbol, timeframe="1d"), on_progress=told)
        assert_type(built, ModelBuilt)
        assert_type(built.model_info, ModelCard)

        asked = EvaluateModel(model_id=built.model_info.model_id, symbol=None, timeframe=None, period="90d")
        return client.ask(asked).evaluation


def told(event: dict[str, object]) -> None:
    print(f"{event['stage']}: {event['message']}", file=sys.stderr)


async def known(symbol: str) -> ModelsListed:
    async with AsyncClient() as client:
        return await client.ask(ListModels(symbol=symbol))


def main() -> int:
    symbol = sys.argv[1] if len(sys.argv) > 1 else "AAPL"
    try:
        with ServiceManager() as manager:
            manager.start_all_services()
        card = judged(symbol)
        models = asyncio.run(known(symbol)).models
    except EvolveError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    assert_type(models, tuple[ModelCard, ...])
    assert_type(card.metrics, dict[str, Evidence])
    print(f"{card.trust.verdict}: {card.trust.reason}")
    print(f"Sharpe ratio {card.metrics['sharpe']}; {len(models)} models of {symbol} are registered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
