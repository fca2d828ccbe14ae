"""Benches for proofs: environments of streams, the order of words, and references of the cores that never stall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from prove import Bench

from spikeloom.hdl.streams.words import WordFormat

__all__ = ["Reference", "hits", "in_range", "lanes_of", "per_group", "pipe_bench", "sink", "source", "taken_word",
           "word_from"]

Reference = Callable[[Bench, Value, Value], tuple[Value, Value]]
"""From the payload and valid of a word to valid and payload of the result that it completes, in the same cycle."""


def source(bench: Bench, port: stream.Interface, name: str = "i") -> tuple[Signal, Signal]:
    """Drive ``port`` by a source that obeys the rules and is otherwise free; return what it offers: whether a word is
    taken, and its payload."""
    valid, ready = bench.free(1, f"{name}_valid"), Signal(name=f"{name}_taker")
    payload = bench.free(len(Value.cast(port.payload)), f"{name}_payload")
    taken = Signal(name=f"{name}_taken")
    bench.m.d.comb += [
        port.valid.eq(valid),
        Value.cast(port.payload).eq(payload),
        ready.eq(port.ready),
        taken.eq(valid & ready),
    ]
    waits = bench.past(valid & ~ready, f"{name}_waits")
    bench.assume(~waits | (valid & (payload == bench.past(payload, f"{name}_payload"))))
    return taken, payload


def sink(bench: Bench, port: stream.Interface, name: str = "o") -> tuple[Signal, Signal]:
    """Take words from ``port`` at any time; rule: valid and payload hold until then. Return whether one is taken, and
    its payload."""
    ready = bench.free(1, f"{name}_ready")
    valid = Signal(name=f"{name}_valid", attrs={"keep": 1})
    payload = Signal(len(Value.cast(port.payload)), name=f"{name}_payload", attrs={"keep": 1})
    taken = Signal(name=f"{name}_taken")
    bench.m.d.comb += [
        port.ready.eq(ready),
        valid.eq(port.valid),
        payload.eq(Value.cast(port.payload)),
        taken.eq(valid & ready),
    ]
    waits = bench.past(valid & ~ready, f"{name}_waits")
    bench.rule(f"{name} holds", ~waits | (valid & (payload == bench.past(payload, f"{name}_payload"))))
    return taken, payload


def taken_word(bench: Bench, at: Value, taken: Value, count: Value, word: Value, name: str) -> Signal:
    """The word number ``at`` of those taken, where it was taken already, or the one that is taken now."""
    kept, value = Signal(len(word), name=f"{name}_kept"), Signal(len(word), name=name)
    bench.m.d.comb += value.eq(Mux(taken & (count == at), word, kept))
    bench.m.d.sync += kept.eq(value)
    return value


def hits(bench: Bench, step: Value, count: int, name: str) -> tuple[Signal, Signal]:
    """A counter of ``count`` states that steps where ``step``, and how often it wrapped, 0 to 3 and again from 0."""
    at, wraps = Signal(range(max(2, count)), name=name), Signal(2, name=f"{name}_wraps")
    with bench.m.If(step):
        bench.m.d.sync += at.eq(Mux(at == count - 1, 0, at + 1))
    with bench.m.If(step & (at == count - 1)):
        bench.m.d.sync += wraps.eq(wraps + 1)
    return at, wraps


def word_from(m: Module, words: list[Value], index: Value, name: str) -> Value:
    """``words[index]``."""
    if len(words) == 1:
        return words[0]
    value = Signal(max(len(word) for word in words), name=name)
    with m.Switch(index):
        for k, word in enumerate(words):
            with m.Case(k):
                m.d.comb += value.eq(word)
    return value


def pipe_bench(
    core: Any, form: WordFormat, latency: int, reference: Reference, *, last_of: int = 0, spacing: int = 1
) -> Bench:
    """A core that never stalls against a reference of the same cycles.

    Its input is free: a word of ``form`` in any cycle, at least ``spacing`` cycles apart. Where its words have a flag
    ``last``, it is high in every ``last_of``-th one. Rules: a result comes ``latency`` cycles after the word that
    completes it, and in no other cycle, so none is lost or comes twice; it is the reference's.
    """
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    valid = bench.free(1, "i_valid")
    fields = core.i.payload.data if last_of else core.i.payload
    word = bench.free(len(Value.cast(fields)), "i_payload")
    m.d.comb += [core.i.valid.eq(valid), Value.cast(fields).eq(word)]
    in_range(bench, word, form)
    if last_of:
        number = Signal(range(last_of), name="word_of_scan")
        ends = number == last_of - 1
        with m.If(valid):
            m.d.sync += number.eq(Mux(ends, 0, number + 1))
        m.d.comb += core.i.payload.last.eq(ends)
    if spacing > 1:
        rest = Signal(range(spacing), name="rest")
        m.d.sync += rest.eq(Mux(valid, spacing - 1, Mux(rest == 0, 0, rest - 1)))
        bench.assume(~valid | (rest == 0))
    done, result = reference(bench, word, valid)
    expected: Value = Cat(done & bench.running, result)
    for k in range(latency):
        expected = bench.past(expected, f"expected_{k}")
    o_valid = Signal(name="o_valid", attrs={"keep": 1})
    o_payload = Signal(len(Value.cast(core.o.payload)), name="o_payload", attrs={"keep": 1})
    m.d.comb += [o_valid.eq(core.o.valid), o_payload.eq(Value.cast(core.o.payload))]
    bench.rule("a result in its cycle and in no other", o_valid == expected[0])
    bench.rule("the result of the reference", ~o_valid | (o_payload == expected[1 : 1 + len(o_payload)]))
    total = bench.count(o_valid, 2, "results")
    bench.goal("a result", total == 1)
    return bench


def per_group(bench: Bench, groups: int, valid: Value) -> Signal:
    """Which group of channels a word is for."""
    group = Signal(range(groups), name="group_of_word")
    with bench.m.If(valid):
        bench.m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
    return group


def in_range(bench: Bench, word: Value, form: WordFormat) -> None:
    """Only words whose elements are in the range of ``form``."""
    if (form.low, form.high) != (
        (-(1 << form.bits - 1), (1 << form.bits - 1) - 1) if form.signed else (0, (1 << form.bits) - 1)
    ):
        for x in lanes_of(word, form.lanes * form.steps, form.bits, form.signed):
            bench.assume((x >= form.low) & (x <= form.high))


def lanes_of(word: Value, count: int, bits: int, signed: bool) -> list[Value]:
    """``count`` integers of ``bits`` bits, the lowest first."""
    parts = [word[k * bits : (k + 1) * bits] for k in range(count)]
    return [part.as_signed() if signed else part for part in parts]
