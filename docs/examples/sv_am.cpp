// SV-AM-Softmax in plain C++17, judged by svref's golden vectors. It uses nothing of svref but the files.
//   g++ -std=c++17 -O2 -o sv_am docs/examples/sv_am.cpp && ./sv_am svref/golden/vectors/core
// Exit code: 0 right, 1 wrong, 2 usage, 3 the vectors cannot be read. sv_am.mjs is the same program in JavaScript.
// It reads neither `decisive` nor `branches`: no case of sv-am-softmax in core needs them in float64. Others do.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using nlohmann::json, std::size_t, std::string;
using Row = std::vector<double>;

// ---- the loss of one sample, forward beside backward ----------------------------------------------------------------

struct Parameters { double s, m, t; };
struct Step { double a, loss; Row mask, r; };  // what the backward pass needs of the forward pass, and the loss

double log_sum_exp(const Row& r) {
    double peak = -INFINITY, total = 0;
    for (double v : r) peak = std::max(peak, v);
    if (peak == -INFINITY) return peak;  // one class has no negatives, and -inf - -inf would be NaN
    for (double v : r) total += std::exp(v - peak);
    return peak + std::log(total);
}

// L = log(1 + exp a), a = log sum_{k != y} exp r_k, r_k = s (c_k - f) + log h_k, f = c_y - m.
// Everything is relative to the target, so nothing cancels: logsumexp(z) - z_y loses every digit of a small loss.
Step forward(const Parameters& p, const Row& c, size_t y) {
    Step step{0, 0, Row(c.size()), Row(c.size(), -INFINITY)};
    const double f = c.at(y) - p.m;
    for (size_t k = 0; k < c.size(); k++) {
        if (k == y) continue;     // the label's column is no negative, hence never a support vector
        step.mask[k] = c[k] > f;  // strictly: a tie is no support vector
        step.r[k] = p.s * (c[k] - f) + step.mask[k] * p.s * (p.t - 1) * (c[k] + 1);
    }
    step.a = log_sum_exp(step.r);
    step.loss = std::max(step.a, 0.0) + std::log1p(std::exp(-std::abs(step.a)));
    return step;
}

// dL/dc_k = s p_k slope_k, p_k = q exp(r_k - a), slope_k = t for a support vector, else 1. The mask is held constant.
// dL/dc_y = -s q, as df/dc = 1, with q = 1 - p_y = exp a / (1 + exp a). Never p_y - 1, which cancels; and q has a
// form for each sign of a, so that exp does not overflow.
Row backward(const Parameters& p, const Step& step, size_t y, double cotangent) {
    const double q = step.a > 0 ? 1 / (1 + std::exp(-step.a)) : std::exp(step.a) / (1 + std::exp(step.a));
    Row dc(step.r.size());
    for (size_t k = 0; k < dc.size(); k++) {
        const double p_k = q * std::exp(step.r[k] - step.a), slope = step.mask[k] ? p.t : 1;
        dc[k] = cotangent * (k == y ? -p.s * q : p.s * p_k * slope);
    }
    return dc;
}

// ---- the judge: |error| <= 8 u K (1 + C/128) g + 4 max(1, s t) tiny max(1, g), g = |cotangent|, 1 for losses -------

struct Count { size_t cases = 0, elements = 0, wrong = 0, vacuous = 0, errors = 0, heads = 0; double worst = 0; };

double tolerance(const Parameters& p, size_t C, double K, double g = 1) {
    return 8 * (DBL_EPSILON / 2) * K * (1 + C / 128.0) * g + 4 * std::max(1.0, p.s * p.t) * DBL_MIN * std::max(1.0, g);
}

// The right value is data + lo; near it `got - data` is exact. `right` is false for NaN, as it must be.
void judge(Count& count, const string& what, size_t k, double got, double data, double lo, double allowed) {
    const double error = std::abs((got - data) - lo);
    const bool right = error <= allowed, zero = got == 0 && data == 0;
    if (!right && count.wrong == 0)
        std::printf("first departure  %s[%zu] = %.17g, but should be %.17g\n", what.c_str(), k, got, data);
    count.elements += 1, count.wrong += !right;
    count.vacuous += right && !zero && allowed >= std::abs(data);  // such an element says nothing
    count.worst = std::max(count.worst, error == 0 ? 0 : error < INFINITY ? error / allowed : INFINITY);
}

// ---- the files ------------------------------------------------------------------------------------------------------

json parsed(const string& path) {
    const json made = json::parse(std::ifstream(path), nullptr, false);
    if (made.is_discarded()) throw std::runtime_error(path + " is missing or no JSON");
    return made;
}

// Row b, of n numbers, of a tensor, which is flat and in row-major order. A missing number is an error.
// JSON has no infinity and no NaN: the strings "Infinity", "-Infinity" and "NaN" stand for them.
Row part(const json& tensor, size_t b, size_t n, const char* which = "data") {
    Row row;
    for (size_t at = b * n; at < (b + 1) * n; at++) {
        const json& v = tensor.at(which).at(at);
        row.push_back(v.is_string() ? std::stod(v.get<string>()) : v.get<double>());
    }
    return row;
}

// One sample: its mask, which has no rounding, its loss, and its gradient for the cotangent of the file.
void judge_row(Count& count, const json& one, const Parameters& p, size_t b) {
    const json &in = one.at("inputs"), &right = one.at("expected"), &scales = one.at("scales");
    const size_t C = in.at("cosines").at("shape").at(1), y = size_t(part(in.at("labels"), b, 1)[0]);
    const double cotangent = part(in.at("cotangent"), b, 1)[0];
    const Step step = forward(p, part(in.at("cosines"), b, C), y);
    const string where = string(one.at("id")) + " row " + std::to_string(b), mask = right.at("mask").at(b);
    for (size_t k = 0; k < C; k++) judge(count, where + " mask", k, step.mask[k], mask.at(k) - '0', 0, 0);
    const auto compare = [&](const string& name, const Row& got, double factor) {
        const Row data = part(right.at(name), b, got.size()), lo = part(right.at(name), b, got.size(), "lo");
        const Row K = part(scales.at(name), b, got.size());
        for (size_t k = 0; k < got.size(); k++)
            judge(count, where + " " + name, k, got[k], data[k], lo[k], tolerance(p, C, K[k], factor));
    };
    compare("loss", {step.loss}, 1);
    compare("cosines", backward(p, step, y, cotangent), std::abs(cotangent));
}

void judge_case(Count& count, const json& one) {
    if (one.at("result") == "error") return void(count.errors++);  // inputs that must raise: forward checks nothing
    if (one.at("level") == "head") return void(count.heads++);     // embeddings and weights: not this program's work
    const json& p = one.at("parameters");
    for (size_t b = 0; b < one.at("inputs").at("labels").at("shape").at(0); b++)
        judge_row(count, one, {p.at("s"), p.at("m"), p.at("t")}, b);
    count.cases++;
}

Count judge_pack(const string& directory) {
    const json manifest = parsed(directory + "/manifest.json");
    if (manifest.at("format") != "svref-vectors/1") throw std::runtime_error("the format is not svref-vectors/1");
    Count all;
    for (const auto& [name, digest] : manifest.at("files").items()) {
        if (name.rfind("groups/sv-am-softmax/", 0) != 0) continue;
        const Count before = all;
        const json group = parsed(directory + "/" + name);
        for (const json& one : group.at("cases")) judge_case(all, one);
        std::printf("      %-10s %3zu elements, %zu wrong\n", string(group.at("group")).c_str(),
                    all.elements - before.elements, all.wrong - before.wrong);
    }
    if (all.cases == 0) throw std::runtime_error(directory + " holds no case of sv-am-softmax");
    return all;
}

int main(int argc, char** argv) try {
    if (argc != 2) return std::fputs("usage: sv_am PACK, e.g. sv_am svref/golden/vectors/core\n", stderr), 2;
    const Count n = judge_pack(argv[1]);
    std::printf("%s  sv-am-softmax  %zu cases, %zu elements, %zu wrong, worst %.2f times the tolerance, %zu vacuous, "
                "%zu error cases skipped, %zu head cases skipped\n",
                n.wrong ? "FAIL" : "PASS", n.cases, n.elements, n.wrong, n.worst, n.vacuous, n.errors, n.heads);
    return n.wrong ? 1 : 0;
} catch (const std::exception& error) {
    return std::fprintf(stderr, "the vectors cannot be read: %s\n", error.what()), 3;
}
