// The cycle law of large designs: what the law classes beside the cores compute, from their tables.
//
// The Python classes are the law; this is the same once more, for runs of millions of events, some hundred times as
// fast. hdl/streams/compiled.py builds it, fills it and reads it; tests/hdl/test_compiled.py compares both.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using Int = std::int64_t;
using Ints = std::vector<Int>;
constexpr Int UNKNOWN = -1;  // of an event whose causes are not known; cycles are not negative

Int size(const Ints &events) { return static_cast<Int>(events.size()); }

// The numbers of a table, one after the other; a list is its length and its items.
struct Numbers {
    const Int *at;

    Int one() { return *at++; }
    Ints list() {
        Int length = one();
        Ints found(at, at + length);
        at += length;
        return found;
    }
};

// Cycles in which an environment does not take part; whoever fills the law keeps them.
struct Gate {
    const bool *pauses;
    Int count;

    Int opened(Int cycle) const {
        while (cycle < count && pauses[cycle]) ++cycle;
        return cycle;
    }
};

struct Link {
    Gate source, sink;
    Ints offered = {}, taken = {};

    bool pending() const { return offered.size() > taken.size(); }
    Int shown() const {
        Int cycle = offered[taken.size()];
        if (!taken.empty()) cycle = std::max(cycle, taken.back() + 1);
        return source.opened(cycle);
    }
    Int take(Int ready) {
        Int cycle = sink.opened(std::max(shown(), ready));
        taken.push_back(cycle);
        return cycle;
    }
};

using Links = std::vector<Link *>;

struct Process {
    Links ins, outs;

    virtual ~Process() = default;
    virtual void advance() = 0;
    virtual const Ints *events(Int) const { return nullptr; }  // what the table asks back, by its place there
};

struct Source : Process {
    explicit Source(Numbers n, const Links &outs) { outs[0]->offered.assign(n.one(), 0); }
    void advance() override {}
};

struct Sink : Process {
    void advance() override {
        while (ins[0]->pending()) ins[0]->take(0);
    }
};

struct Fifo : Process {
    Int depth;

    explicit Fifo(Numbers n) : depth(n.one()) {}
    void advance() override {
        Link &i = *ins[0], &o = *outs[0];
        while (i.pending()) {
            Int before = size(i.taken) - depth;
            if (before >= size(o.taken)) return;
            o.offered.push_back(i.take(before >= 0 ? o.taken[before] + 1 : 0) + 1);
        }
    }
};

struct Gearbox : Process {
    Int ratio, widens, words, skipped;

    explicit Gearbox(Numbers n) : ratio(n.one()), widens(n.one()), words(n.one()), skipped(n.one()) {}
    void advance() override {
        Link &i = *ins[0], &o = *outs[0];
        Int parts = words * ratio - skipped;
        while (i.pending()) {
            Int n = size(i.taken);
            if (widens) {
                Int within = n % parts, part = (within + skipped) % ratio;
                Int before = n / parts * words + (within + skipped) / ratio - 1;
                bool begins = part == 0 || within == 0;
                if (begins && before >= size(o.taken)) return;
                Int taken = i.take(begins && before >= 0 ? o.taken[before] : 0);
                if (part == ratio - 1) o.offered.push_back(taken + 1);
            } else {
                Int before = n * ratio - 1;
                if (before >= size(o.taken)) return;
                o.offered.insert(o.offered.end(), ratio, i.take(n ? o.taken[before] : 0) + 1);
            }
        }
    }
};

struct Decimator : Process {
    Ints kept;
    Int passed = 0;

    explicit Decimator(Numbers n) : kept(n.list()) {}
    void advance() override {
        Link &i = *ins[0], &o = *outs[0];
        while (i.pending()) {
            if (!kept[i.taken.size() % kept.size()]) {
                i.take(0);
                continue;
            }
            if (size(o.offered) == passed) o.offered.push_back(i.shown());
            if (size(o.taken) == passed) return;
            i.take(o.taken[passed++]);
        }
    }
};

struct Fork : Process {
    void advance() override {
        Link &i = *ins[0];
        while (i.pending()) {
            std::size_t k = i.taken.size();
            if (outs[0]->offered.size() == k) {
                Int shown = i.shown();
                for (Link *o : outs) o->offered.push_back(shown);
            }
            Int last = 0;
            for (Link *o : outs) {
                if (o->taken.size() == k) return;
                last = std::max(last, o->taken[k]);
            }
            i.take(last);
        }
    }
};

#include "law_window.h"

std::unique_ptr<Process> made(const char *kind, Numbers n, const Links &ins, const Links &outs) {
    auto is = [kind](const char *name) { return std::strcmp(kind, name) == 0; };
    if (is("source")) return std::make_unique<Source>(n, outs);
    if (is("sink")) return std::make_unique<Sink>();
    if (is("fifo")) return std::make_unique<Fifo>(n);
    if (is("gearbox")) return std::make_unique<Gearbox>(n);
    if (is("decimator")) return std::make_unique<Decimator>(n);
    if (is("fork")) return std::make_unique<Fork>();
    if (is("rows")) return std::make_unique<RowWindow>(n, ins);
    if (is("line")) return std::make_unique<LineWindow>(n, ins);
    return nullptr;
}

struct Law {
    std::vector<std::unique_ptr<Link>> links;
    std::vector<std::unique_ptr<Process>> processes;

    // As solve() in law.py: run whoever a list became longer for, until none does.
    void solve() {
        struct End {
            const Ints *events;
            std::size_t neighbour, before;
        };
        std::unordered_map<const Link *, std::size_t> readers, writers;
        for (std::size_t k = 0; k < processes.size(); ++k) {
            for (Link *link : processes[k]->ins) readers[link] = k;
            for (Link *link : processes[k]->outs) writers[link] = k;
        }
        std::vector<std::vector<End>> grown(processes.size());
        std::deque<std::size_t> waiting;
        std::vector<char> queued(processes.size(), 1);
        for (std::size_t k = 0; k < processes.size(); ++k) {
            for (Link *link : processes[k]->ins) grown[k].push_back({&link->taken, writers[link], SIZE_MAX});
            for (Link *link : processes[k]->outs) grown[k].push_back({&link->offered, readers[link], SIZE_MAX});
            waiting.push_back(k);
        }
        while (!waiting.empty()) {
            std::size_t k = waiting.front();
            waiting.pop_front();
            queued[k] = 0;
            processes[k]->advance();
            for (End &end : grown[k]) {
                if (end.events->size() == end.before) continue;
                end.before = end.events->size();
                if (!queued[end.neighbour]) {
                    queued[end.neighbour] = 1;
                    waiting.push_back(end.neighbour);
                }
            }
        }
    }
};

Links chosen(const Law &law, const Int *numbers, Int count) {
    Links found;
    for (Int k = 0; k < count; ++k) found.push_back(law.links[numbers[k]].get());
    return found;
}

}  // namespace

extern "C" {

Law *law_new() { return new Law; }

void law_delete(Law *law) { delete law; }

void law_link(Law *law, const bool *source, Int sources, const bool *sink, Int sinks) {
    law->links.push_back(std::make_unique<Link>(Link{{source, sources}, {sink, sinks}}));
}

// 0, or 1 where there is no such kind.
int law_process(Law *law, const char *kind, const Int *numbers, const Int *in, Int ins, const Int *out, Int outs) {
    Links from = chosen(*law, in, ins), to = chosen(*law, out, outs);
    auto process = made(kind, Numbers{numbers}, from, to);
    if (!process) return 1;
    process->ins = std::move(from);
    process->outs = std::move(to);
    law->processes.push_back(std::move(process));
    return 0;
}

void law_solve(Law *law) { law->solve(); }

Int law_taken(const Law *law, Int link, const Int **events) {
    *events = law->links[link]->taken.data();
    return size(law->links[link]->taken);
}

Int law_events(const Law *law, Int process, Int which, const Int **events) {
    const Ints *found = law->processes[process]->events(which);
    *events = found->data();
    return size(*found);
}
}
