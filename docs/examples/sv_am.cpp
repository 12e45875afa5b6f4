// SV-AM-Softmax in plain C++17, judged by svref's golden vectors. It uses nothing of svref but the files.
//
//   g++ -std=c++17 -O2 -o sv_am docs/examples/sv_am.cpp && ./sv_am svref/golden/vectors/core
//
// Exit code: 0 right, 1 wrong, 2 usage, 3 the vectors cannot be read. sv_am.mjs is the same program in JavaScript.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using nlohmann::json, std::map, std::size_t, std::string;
using Row = std::vector<double>;
const string VARIANT = "sv-am-softmax";
const double INF = std::numeric_limits<double>::infinity();

// ---- the loss of one sample, forward beside backward ----------------------------------------------------------------

struct Parameters { double s, m, t; };
struct Step { double a = 0, loss = 0; Row mask, r; };  // what the backward pass needs of the forward pass

double log_sum_exp(const Row& r) {
    double peak = -INF, total = 0;
    for (double v : r) peak = std::max(peak, v);
    if (peak == -INF) return -INF;  // one class has no negatives, and -inf - -inf would be NaN
    for (double v : r) total += std::exp(v - peak);
    return peak + std::log(total);
}

// L = log(1 + exp a), a = log sum_{k != y} exp r_k, r_k = s (c_k - f) + log h_k, f = c_y - m.
// Everything is relative to the target, so nothing cancels: logsumexp(z) - z_y loses every digit of a small loss.
Step forward(const Parameters& p, const Row& c, size_t y) {
    Step step{0, 0, Row(c.size()), Row(c.size(), -INF)};
    const double f = c.at(y) - p.m;
    for (size_t k = 0; k < c.size(); k++) {
        if (k == y) continue;      // the label's column is no negative, hence never a support vector
        step.mask[k] = c[k] > f;   // strictly: a tie is no support vector
        step.r[k] = p.s * (c[k] - f) + step.mask[k] * p.s * (p.t - 1) * (c[k] + 1);
    }
    step.a = log_sum_exp(step.r);
    step.loss = std::max(step.a, 0.0) + std::log1p(std::exp(-std::abs(step.a)));
    return step;
}

// dL/dc_k = s p_k slope_k, p_k = q exp(r_k - a), slope_k = t for a support vector, else 1; dL/dc_y = -s q, as df/dc = 1.
// dL/ds = sum p_k r_k / s, dL/dt = sum p_k dlog h_k/dt, dL/dm = s q, as df/dm = -1. The mask is held constant.
// q = 1 - p_y = exp a / (1 + exp a) has a form for each sign of a that does not overflow; p_y - 1 would cancel.
map<string, Row> backward(const Parameters& p, const Step& step, const Row& c, size_t y, double cotangent) {
    const double q = step.a > 0 ? 1 / (1 + std::exp(-step.a)) : std::exp(step.a) / (1 + std::exp(step.a));
    double ds = 0, dt = 0;
    Row dc(c.size());
    for (size_t k = 0; k < c.size(); k++) {
        if (k == y) continue;
        const double p_k = q * std::exp(step.r[k] - step.a) * cotangent;
        dc[k] = p.s * p_k * (step.mask[k] ? p.t : 1);
        ds += p_k * step.r[k] / p.s;
        dt += p_k * step.mask[k] * p.s * (c[k] + 1);
    }
    dc[y] = -p.s * q * cotangent;
    return {{"cosines", dc}, {"s", {ds}}, {"t", {dt}}, {"margin.m", {p.s * q * cotangent}}};
}

// ---- the files ------------------------------------------------------------------------------------------------------

struct Expected { Row data, lo, K; };  // the right value is data + lo; K says how far rounding may carry it
struct Case { string id; Parameters p; Row cosines, labels, cotangent; map<string, Expected> expected; };
struct Count { size_t cases = 0, elements = 0, wrong = 0, vacuous = 0, errors = 0, heads = 0; double worst = 0; };

json parsed(const string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path);
    return json::parse(file);
}

// A tensor is flat, in row-major order. JSON has no infinity and no NaN: they are the strings of these names.
Row numbers(const json& tensor, const char* part = "data") {
    Row row;
    for (const json& v : tensor.at(part)) row.push_back(v.is_string() ? std::stod(v.get<string>()) : v.get<double>());
    size_t size = 1;
    for (size_t n : tensor.at("shape")) size *= n;
    if (row.size() != size) throw std::runtime_error("a tensor's shape does not fit its data");
    return row;
}

Case read(const json& one) {
    const json &p = one.at("parameters"), &in = one.at("inputs"), &want = one.at("expected"), &K = one.at("scales");
    Case made{one.at("id"), {p.at("s"), p.at("m"), p.at("t")}, numbers(in.at("cosines")), numbers(in.at("labels")),
              numbers(in.at("cotangent")), {}};
    for (const char* name : {"loss", "cosines", "s", "t", "margin.m"})
        made.expected[name] = {numbers(want.at(name)), numbers(want.at(name), "lo"), numbers(K.at(name))};
    const size_t size = made.cosines.size();
    made.expected["mask"] = {{}, Row(size), Row(size)};  // strings of 0 and 1; a decision has no rounding
    for (const string bits : want.at("mask"))
        for (char bit : bits) made.expected["mask"].data.push_back(bit - '0');
    return made;
}

// ---- the judge: |error| <= (8 u K (1 + C/128) + 4 max(1, s t) tiny) |cotangent| -------------------------------------

double tolerance(double K, size_t C, const Parameters& p) {
    const double u = DBL_EPSILON / 2, tiny = DBL_MIN;
    return 8 * u * K * (1 + C / 128.0) + 4 * std::max(1.0, p.s * p.t) * tiny;
}

// Near the right value `got - data` is exact. `right` is false for NaN, as it must be.
void judge(Count& count, const string& what, double got, double data, double lo, double allowed) {
    const double error = std::abs((got - data) - lo);
    const bool right = error <= allowed, zero = got == 0 && data == 0;
    if (!right) std::printf("      %s = %.17g, but should be %.17g within %.2g\n", what.c_str(), got, data, allowed);
    count.elements += 1;
    count.wrong += !right;
    count.vacuous += right && !zero && allowed >= std::abs(data);  // such an element says nothing
    count.worst = std::max(count.worst, error == 0 ? 0 : error < INF ? error / allowed : INF);
}

void judge(Count& count, const Case& one) {
    const size_t B = one.labels.size(), C = one.cosines.size() / B;
    for (size_t b = 0; b < B; b++) {
        const Row c(one.cosines.begin() + b * C, one.cosines.begin() + (b + 1) * C);
        const Step step = forward(one.p, c, size_t(one.labels[b]));
        map<string, Row> outputs = backward(one.p, step, c, size_t(one.labels[b]), one.cotangent.at(b));
        outputs.insert({{"loss", {step.loss}}, {"mask", step.mask}});
        for (const auto& [name, got] : outputs)
            for (size_t k = 0, at = b * got.size(); k < got.size(); k++, at++) {
                const auto& [data, lo, K] = one.expected.at(name);
                const double g = name == "loss" || name == "mask" ? 1 : std::abs(one.cotangent[b]);
                judge(count, one.id + " row " + std::to_string(b) + " " + name, got[k], data.at(at), lo.at(at),
                      tolerance(K.at(at), C, one.p) * g);
            }
    }
}
