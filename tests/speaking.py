"""A stand-in for an OpenAI-compatible server, in a thread of its own, that says what a function of the request says."""

import asyncio
import contextlib
import threading

from tests.stand_in_openai import StandIn, _response


class Speaker(StandIn):
    """`say` answers a request (its JSON) with a text, a status code (500), or a text and its `finish_reason`.

    `usage` has the tokens of every answer it gave, read and written.
    """

    def __init__(self, say):
        super().__init__()
        self.say = say
        self.usage = []

    async def _chat(self, request, line, writer):
        self.seen.append(request)
        self.texts[request["messages"][-1]["content"]] += 1
        said = self.say(request)
        if isinstance(said, int):
            writer.write(_response(said, {"error": {"message": f"status {said}"}}))
        else:
            text, finish = said if isinstance(said, tuple) else (said, "stop")
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
            usage = self.used(request, text)
            self.usage.append((usage["prompt_tokens"], usage["completion_tokens"]))
            writer.write(_response(200, {"choices": [choice], "usage": usage}))
        await writer.drain()
        return True

    def used(self, request, text):
        return {"prompt_tokens": 11, "completion_tokens": 7}


@contextlib.contextmanager
def speaking(say, server=None):
    """A server that answers as `say` does, as long as the block lasts; its `url` is an endpoint."""
    server, loop = server or Speaker(say), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        asyncio.run_coroutine_threadsafe(_gone(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _gone():
    """Wait until the tasks of connections that were cut have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def model(server, name="tiny"):
    """A catalog entry for a server."""
    return {"engine": "openai", "endpoints": [server.url], "model": name, "licence": "Apache-2.0"}


class Fake:
    """A model of ten lines: what `say` makes of the messages, or the next of a list; remembers what it was asked."""

    def __init__(self, *say, unit="segment"):
        self.say, self.unit, self.asked = list(say), unit, []

    async def __call__(self, messages, *, temperature, max_tokens, seed=None, text=None, schema=None):
        from hala_factory.generate.answers import Answer

        said = {"messages": messages, "temperature": temperature, "seed": seed, "text": text, "schema": schema}
        self.asked.append({**said, "max_tokens": max_tokens})
        answer = self.say.pop(0) if len(self.say) > 1 else self.say[0]
        answer = answer(messages) if callable(answer) else answer
        return answer if isinstance(answer, Answer) else Answer(answer, "stop", 10, 5)
