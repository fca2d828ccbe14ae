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

#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "Vdesign.h"
#include "Vdesign___024root.h"
#include "ports.h"
#include "recording.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

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
