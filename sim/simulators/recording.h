// What a verilated design is driven from and recorded to: files of words, boundaries, waveforms.
#pragma once

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vdesign.h"
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

}  // namespace
