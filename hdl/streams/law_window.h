// The law of stages (hdl/cores/window/law.py, line_law.py) and of their shortcuts (hdl/cores/merge): part of law.cpp.

struct Shortcut {
    Link *i = nullptr;
    Ints freed;  // or fetched: the cycles in which slots were freed

    virtual ~Shortcut() = default;
    virtual void feed() = 0;
    virtual Int ready(Int result) const = 0;  // UNKNOWN while it is not known
    virtual void finish(Int result, Int end) = 0;
};

struct WordShortcut : Shortcut {
    Int depth, delay;  // depth < 0: without limit
    Ints counts, offsets, begins, through;

    explicit WordShortcut(Numbers &n)
        : depth(n.one()), delay(n.one()), counts(n.list()), offsets(n.list()), through(n.list()) {
        Int at = 0;
        for (Int count : counts) begins.push_back(std::exchange(at, at + count));
    }
    void feed() override {
        while (i->pending()) {
            Int before = depth < 0 ? -1 : size(i->taken) - depth;
            if (before >= size(freed)) return;
            i->take(before >= 0 ? freed[before] + 1 : 0);
        }
    }
    Int ready(Int result) const override {
        Int k = result % size(through), words = result / size(through) * through.back() + through[k];
        if (words > size(i->taken)) return UNKNOWN;
        return counts[k % size(counts)] ? i->taken[words - 1] + 1 : 0;
    }
    void finish(Int result, Int end) override {
        Int k = result % size(counts);
        for (Int p = 0; p < counts[k]; ++p) freed.push_back(end + delay + offsets[begins[k] + p]);
    }
};

struct BlockShortcut : Shortcut {
    Int slots, delay, words, last_word, count, width, block, groups;  // slots < 0: without limit
    Ints whole, last;                                                  // words that a result needs, by its group

    explicit BlockShortcut(Numbers &n)
        : slots(n.one()), delay(n.one()), words(n.one()), last_word(n.one()), count(n.one()), width(n.one()),
          block(n.one()), groups(n.one()), whole(n.list()), last(n.list()) {}
    void feed() override {
        while (i->pending()) {
            Int at = size(i->taken), row_words = width * words, before = -1;
            if (slots >= 0) before = at / row_words * count + at % row_words / block - slots;
            if (before >= size(freed)) return;
            i->take(before >= 0 ? freed[before] + 1 : 0);
        }
    }
    Int ready(Int result) const override {
        Int at = result / groups;
        Int need = (at % count == count - 1 ? last : whole)[result % groups];
        if (!need) return 0;
        Int through = at / count * width * words + at % count * block + need;
        return through <= size(i->taken) ? i->taken[through - 1] + 1 : UNKNOWN;
    }
    void finish(Int result, Int end) override {
        if (result % groups == groups - 1) freed.push_back(end + delay + last_word);
    }
};

struct Window : Process {
    Int latency, result_words, unit, scan, further, credits, groups, sparse, span, scans;
    Int each, last, blocks;  // words that leave of a block, of the last of a row, blocks of a row; each = 0: no blocks
    Ints costs;              // (lead, body, tail) of every position, or one for all
    std::vector<std::unique_ptr<Shortcut>> skips;
    Int passed = -1;
    Ints decided, started, freed;

    Window(Numbers &n, const Links &ins)
        : latency(n.one()), result_words(n.one()), unit(n.one()), scan(n.one()), further(n.one()), credits(n.one()),
          groups(n.one()), sparse(n.one()), span(n.one()), scans(n.one()), each(n.one()), last(n.one()),
          blocks(n.one()), costs(n.list()) {
        for (std::size_t k = 1; k < ins.size(); ++k) {
            if (n.one())
                skips.push_back(std::make_unique<BlockShortcut>(n));
            else
                skips.push_back(std::make_unique<WordShortcut>(n));
            skips.back()->i = ins[k];
        }
    }

    virtual void write() = 0;
    virtual Int complete(Int unit) const = 0;  // the cycle from which it has what it waits for, or UNKNOWN
    virtual void free(Int unit, Int cycle) = 0;

    const Ints *events(Int which) const override {
        return which == 0 ? &decided : which == 1 ? &started : &skips[which - 2]->freed;
    }
    void advance() override {
        while (true) {
            Int before = size(freed);
            write();
            for (auto &skip : skips) skip->feed();
            if (!read() || (size(freed) == before && skips.empty())) return;
        }
    }
    Int last_word(Int block) const {
        Int rows = (block + 1) / blocks, more = (block + 1) % blocks;
        return rows * (each * (blocks - 1) + last) + more * each - 1;
    }
    Int holds(Int m) const {  // the word that must have left before result m may end; negative where none must
        if (!each) return (m - credits + 1) * result_words - 1;
        Int block = m / groups;
        return m % groups || block < credits ? -1 : last_word(block - credits);
    }
    std::pair<Int, Int> walk(Int m, Int begin, Int ready) {
        if (!sparse) {
            Int start = std::max(decided.empty() ? 0 : decided.back() + 1, begin);
            return {start, std::max(start + scan - 1, ready) + further};
        }
        const Int *cost = &costs[costs.size() == 3 ? 0 : m / groups * 3];
        Int lead = cost[0], body = cost[1], tail = cost[2], first = 0;
        Int at = std::max(passed, begin + 1), end = decided.empty() ? -span : decided.back();
        for (Int k = 0; k < scans; ++k) {
            Int entered = std::max(at + lead, end);
            at = entered + tail;
            end = std::max(entered + body, end + span);
            if (k == 0) {
                first = entered + 1;
                end = std::max(end, ready);
            }
        }
        passed = at;
        return {first, end};
    }
    void offer(Int m, Int end) {
        Ints &offered = outs[0]->offered;
        if (!each) {
            for (Int k = 0; k < result_words; ++k) offered.push_back(end + k);
        } else if (m % groups == groups - 1) {
            offered.insert(offered.end(), m / groups % blocks == blocks - 1 ? last : each, end + result_words - 1);
        }
    }
    bool read() {
        const Ints &taken = outs[0]->taken;
        for (bool moved = false;; moved = true) {
            Int m = size(decided), before = holds(m), begin = 0, ready = 0;
            if (before >= size(taken)) return moved;
            if (m % unit == 0 && (begin = complete(m / unit)) == UNKNOWN) return moved;
            for (auto &skip : skips) {
                Int cycle = skip->ready(m);
                if (cycle == UNKNOWN) return moved;
                ready = std::max(ready, cycle);
            }
            auto [start, end] = walk(m, begin, ready);
            if (before >= 0) end = std::max(end, taken[before] + 1);
            started.push_back(start);
            decided.push_back(end);
            for (auto &skip : skips) skip->finish(m, end);
            offer(m, end + latency);
            if (m % unit == unit - 1) free(m / unit, end);
        }
    }
};

struct RowWindow : Window {
    Int row_words, slots, height;
    Ints frees, needed, done;  // done: when the last word of each row was taken

    RowWindow(Numbers n, const Links &ins) : Window(n, ins) {
        row_words = n.one();
        slots = n.one();
        height = n.one();
        frees = n.list();
        needed = n.list();
    }
    void write() override {
        Link &i = *ins[0];
        for (Int at = size(i.taken); at < size(i.offered);) {
            Int before = at / row_words - slots;
            if (before >= size(freed)) return;
            Int cycle = i.take(before >= 0 ? freed[before] + 1 : 0);
            if (++at % row_words == 0) done.push_back(cycle);
        }
    }
    Int complete(Int row) const override {
        Int last_row = row / size(frees) * height + needed[row % size(frees)] - 1;
        return last_row < size(done) ? done[last_row] + 1 : UNKNOWN;
    }
    void free(Int row, Int cycle) override { freed.insert(freed.end(), frees[row % size(frees)], cycle); }
};

struct LineWindow : Window {
    Int kept, frame, at = 0;
    Ints need, frees_to, freed_to;

    LineWindow(Numbers n, const Links &ins) : Window(n, ins) {
        kept = n.one();
        frame = n.one();
        need = n.list();
        frees_to = n.list();
    }
    void write() override {
        Link &i = *ins[0];
        for (Int word = size(i.taken); word < size(i.offered); ++word) {
            Int cycle = 0;
            if (word >= kept) {
                while (at < size(freed_to) && freed_to[at] <= word - kept) ++at;
                if (at == size(freed_to)) return;
                cycle = freed[at] + 1;
            }
            i.take(cycle);
        }
    }
    Int complete(Int position) const override {
        Int word = position / size(need) * frame + need[position % size(need)] - 1;
        return word < size(ins[0]->taken) ? ins[0]->taken[word] + 1 : UNKNOWN;
    }
    void free(Int position, Int cycle) override {
        freed.push_back(cycle);
        freed_to.push_back(position / size(frees_to) * frame + frees_to[position % size(frees_to)]);
    }
};
