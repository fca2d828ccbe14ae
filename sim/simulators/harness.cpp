// Drives a verilated design from files and records every transfer of its boundaries.
//
// Arguments: cycles folder [waveform first_cycle last_cycle]
// Reads from the folder: words.bin (uint32 limbs), source_pauses.bin (a byte per cycle), sink_pauses.bin (the same, one
// output after the other), resets.bin (pairs of int64: cycle, word), seed.bin (int64; of what registers and memories start with, where the
// model has been built for that).
// Writes into it: boundary_<k>.bin (int64 cycle, uint32 limbs per transfer) and violations.txt.
// Standard error carries a line "progress <cycle>" now and then, standard output "cycles_per_second <figure>".
//
// ports.h is generated: INPUT_LIMBS, INPUT_WIDTH, MAX_VIOLATIONS, OUTPUTS(X) with X(index, ready) for every output,
// and BOUNDARIES(X) with X(index, limbs, valid, ready, payload, last, words) for every boundary, words 0 where
// no port marks the last word of a frame.

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vdesign.h"
#include "Vdesign___024root.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

std::FILE* open_file(const std::string& path, const char* mode) {
    std::FILE* file = std::fopen(path.c_str(), mode);
    if (!file) throw std::runtime_error("cannot open " + path);
    return file;
}

template <class T>
std::vector<T> read_file(const std::string& path) {
    std::FILE* file = open_file(path, "rb");
    std::fseek(file, 0, SEEK_END);
    std::vector<T> data(static_cast<size_t>(std::ftell(file)) / sizeof(T));
    std::rewind(file);
    const size_t got = data.empty() ? 0 : std::fread(data.data(), sizeof(T), data.size(), file);
    std::fclose(file);
    if (got != data.size()) throw std::runtime_error("cannot read " + path);
    return data;
}

// Verilator holds a signal in 8, 16, 32 or 64 bits or in an array of 32-bit words.
template <class T>
void load(uint32_t* to, const T& from) {
    to[0] = static_cast<uint32_t>(from);
    if constexpr (sizeof(T) > 4) to[1] = static_cast<uint32_t>(from >> 32);
}
template <std::size_t N>
void load(uint32_t* to, const VlWide<N>& from) {
    std::memcpy(to, from.data(), 4 * N);
}
template <class T>
void store(T& to, const uint32_t* from) {
    if constexpr (sizeof(T) > 4) {
        to = from[0] | static_cast<uint64_t>(from[1]) << 32;
    } else {
        to = static_cast<T>(from[0]);
    }
}
template <std::size_t N>
void store(VlWide<N>& to, const uint32_t* from) {
    std::memcpy(to.data(), from, 4 * N);
}

class Violations {
public:
    explicit Violations(const std::string& path) : m_file{open_file(path, "w")} {}
    ~Violations() {
        const bool bad = std::ferror(m_file) != 0;
        if (std::fclose(m_file) != 0 || bad) {
            std::fprintf(stderr, "error: cannot write the violations: %s\n", std::strerror(errno));
            std::_Exit(1);
        }
    }
    void add(int64_t cycle, int boundary, const char* kind) {
        if (m_count++ < MAX_VIOLATIONS) std::fprintf(m_file, "%" PRId64 " %d %s\n", cycle, boundary, kind);
    }

private:
    std::FILE* m_file;
    int64_t m_count = 0;
};

// Records the transfers of one boundary and watches the rules of its stream.
template <int LIMBS, int64_t FRAME>
class Boundary {
public:
    Boundary(int index, const std::string& folder)
        : m_index{index}, m_file{open_file(folder + "/boundary_" + std::to_string(index) + ".bin", "wb")} {
        m_buffer.reserve(FLUSH + RECORD);
    }
    ~Boundary() {
        flush();
        if (std::fclose(m_file)) fail();
    }
    void reset() {
        m_waiting = false;
        m_taken = 0;
    }

    template <class T>
    void sample(int64_t cycle, bool valid, bool ready, const T& payload, bool last, Violations& violations) {
        if (!valid) {
            if (m_waiting) violations.add(cycle, m_index, "valid");
            m_waiting = false;
            return;
        }
        uint32_t word[LIMBS];
        load(word, payload);
        if (m_waiting && std::memcmp(word, m_word, sizeof word) != 0) violations.add(cycle, m_index, "payload");
        m_waiting = !ready;
        if (FRAME > 0 && last != (m_taken == FRAME - 1)) violations.add(cycle, m_index, "last");
        if (ready) {
            if (FRAME > 0 && ++m_taken == FRAME) m_taken = 0;
            const size_t at = m_buffer.size();
            m_buffer.resize(at + RECORD);
            std::memcpy(&m_buffer[at], &cycle, 8);
            std::memcpy(&m_buffer[at + 8], word, sizeof word);
            if (m_buffer.size() >= FLUSH) flush();
        } else {
            std::memcpy(m_word, word, sizeof word);
        }
    }

private:
    static constexpr size_t RECORD = 8 + 4 * LIMBS;
    static constexpr size_t FLUSH = 1 << 18;

    void flush() {
        if (std::fwrite(m_buffer.data(), 1, m_buffer.size(), m_file) != m_buffer.size()) fail();
        m_buffer.clear();
    }
    [[noreturn]] void fail() const {
        std::fprintf(stderr, "error: cannot write the transfers of boundary %d: %s\n", m_index, std::strerror(errno));
        std::_Exit(1);
    }

    int m_index;
    std::FILE* m_file;
    bool m_waiting = false;
    int64_t m_taken = 0;
    uint32_t m_word[LIMBS] = {};
    std::vector<char> m_buffer;
};

#if VM_TRACE
// Verilator's own file tries for ever to write to a full disk: its message flushes the waveform first.
class WaveFile final : public VerilatedVcdFile {
public:
    ssize_t write(const char* data, ssize_t length) override {
        const ssize_t written = VerilatedVcdFile::write(data, length);
        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            std::fprintf(stderr, "error: cannot write the waveform: %s\n", std::strerror(errno));
            std::_Exit(1);
        }
        return written;
    }
};
#endif

int run(int argc, char** argv) {
    if (argc != 3 && argc != 6) throw std::runtime_error("expected 2 or 5 arguments");
    const int64_t cycles = std::atoll(argv[1]);
    const std::string folder = argv[2];
    const auto words = read_file<uint32_t>(folder + "/words.bin");
    const auto source_pauses = read_file<uint8_t>(folder + "/source_pauses.bin");
    const auto sink_pauses = read_file<uint8_t>(folder + "/sink_pauses.bin");
    const auto resets = read_file<int64_t>(folder + "/resets.bin");
    const auto seed = read_file<int64_t>(folder + "/seed.bin");
    const int64_t count = static_cast<int64_t>(words.size()) / INPUT_LIMBS;
    const int64_t sources = static_cast<int64_t>(source_pauses.size());
    int64_t outputs = 0;
#define COUNT(index, ready) ++outputs;
    OUTPUTS(COUNT)
    const int64_t sinks = static_cast<int64_t>(sink_pauses.size()) / outputs;

    // What the payload shows while no word is offered.
    uint32_t garbage[INPUT_LIMBS];
    std::memset(garbage, 0xFF, sizeof garbage);
    if (INPUT_WIDTH % 32) garbage[INPUT_LIMBS - 1] = (uint32_t{1} << INPUT_WIDTH % 32) - 1;

    const auto context = std::make_unique<VerilatedContext>();
    context->randReset(2);
    context->randSeed(static_cast<int>(seed.at(0)));
#if VM_TRACE
    context->traceEverOn(true);
#endif
    const auto top = std::make_unique<Vdesign>(context.get(), "");
    const auto* root = top->rootp;

    // Waveform: a cycle takes ten time units and begins with the rising edge of the clock.
    int64_t first_wave = INT64_MAX, last_wave = -1;
#if VM_TRACE
    WaveFile file;
    VerilatedVcdC waves{&file};
    if (argc == 6) {
        first_wave = std::atoll(argv[4]);
        last_wave = std::atoll(argv[5]);
        top->trace(&waves, 99);
        waves.open(argv[3]);
        if (!waves.isOpen()) throw std::runtime_error(std::string{"cannot open "} + argv[3]);
    }
#endif

    Violations violations{folder + "/violations.txt"};
#define DECLARE(index, limbs, valid, ready, payload, last, words) Boundary<limbs, words> boundary_##index{index, folder};
    BOUNDARIES(DECLARE)

    top->rst = 1;
    top->i___05Fvalid = 0;
#define CLOSE(index, ready) top->ready = 0;
    OUTPUTS(CLOSE)
    store(top->i___05Fpayload, garbage);
    for (int half = 0; half < 4; ++half) {
        top->clk = half & 1;
        top->eval();
    }

    const auto start = std::chrono::steady_clock::now();
    auto reported = start;
    bool offering = false;
    int64_t next = 0;
    size_t next_reset = 0;
    for (int64_t cycle = 0; cycle < cycles; ++cycle) {
        const bool reset = next_reset < resets.size() && resets[next_reset] == cycle;
        if (reset) {
            offering = false;
            next = resets[next_reset + 1];
            next_reset += 2;
        } else if (!offering && next < count && !(cycle < sources && source_pauses[cycle])) {
            offering = true;
        }
        top->rst = reset;
        top->i___05Fvalid = offering;
        store(top->i___05Fpayload, offering ? &words[next * INPUT_LIMBS] : garbage);
#define SET_READY(index, ready) top->ready = !(cycle < sinks && sink_pauses[index * sinks + cycle]);
        OUTPUTS(SET_READY)
#if VM_TRACE
        const bool dump = first_wave <= cycle && cycle <= last_wave;
        if (dump) {
            top->eval();
            waves.dump(static_cast<uint64_t>(10 * cycle));
        }
#endif
        top->clk = 0;
        top->eval();
#if VM_TRACE
        if (dump) waves.dump(static_cast<uint64_t>(10 * cycle + 5));
#endif
        if (reset) {
#define RESET(index, limbs, valid, ready, payload, last, words) boundary_##index.reset();
            BOUNDARIES(RESET)
        } else {
#define SAMPLE(index, limbs, valid, ready, payload, last, words) \
    boundary_##index.sample(cycle, root->valid, root->ready, root->payload, last, violations);
            BOUNDARIES(SAMPLE)
            if (offering && top->i___05Fready) {
                offering = false;
                ++next;
            }
        }
        top->clk = 1;
        top->eval();
#if VM_TRACE
        if (cycle == last_wave) waves.dump(static_cast<uint64_t>(10 * (cycle + 1)));
#endif
        if ((cycle & 0x3FF) == 0x3FF) {
            const auto now = std::chrono::steady_clock::now();
            if (now - reported > std::chrono::milliseconds(200)) {
                std::fprintf(stderr, "progress %" PRId64 "\n", cycle + 1);
                reported = now;
            }
        }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
#if VM_TRACE
    waves.close();
#endif
    top->final();
    std::printf("cycles_per_second %.0f\n", static_cast<double>(cycles) / (seconds.count() + 1e-9));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error as a full disk is
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
