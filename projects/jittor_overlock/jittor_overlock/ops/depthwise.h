#include <vector>

// A plane of H rows and W columns, with P zeros on every side.
template <int W, int P> static void pad(const float* plane, float* padded, int H) {
    const int line = W + 2 * P;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) padded[(i + P) * line + P + j] = plane[i * W + j];
}

// `flipped`: with the kernel turned around, which makes the gradient of x out of the result's.
template <int K, int D, int W>
static void convolve(const float* x, const float* weight, float* out, int B, int C, int H,
                     bool flipped) {
    const int P = D * (K / 2), line = W + 2 * P;
    #pragma omp parallel
    {
        std::vector<float> padded((H + 2 * P) * line);
        #pragma omp for
        for (int n = 0; n < B * C; n++) {
            const float* kernel = weight + n % C * K * K;
            pad<W, P>(x + (long)n * H * W, padded.data(), H);
            for (int i = 0; i < H; i++) {
                float sums[W] = {};
                for (int tap = 0; tap < K * K; tap++) {
                    const float w = kernel[flipped ? K * K - 1 - tap : tap];
                    const float* row = padded.data() + (i + tap / K * D) * line + tap % K * D;
                    for (int j = 0; j < W; j++) sums[j] += w * row[j];
                }
                for (int j = 0; j < W; j++) out[((long)n * H + i) * W + j] = sums[j];
            }
        }
    }
}

template <int K, int D, int W>
static void grad_weight(const float* x, const float* grad, float* out, int B, int C, int H) {
    const int P = D * (K / 2), line = W + 2 * P;
    #pragma omp parallel
    {
        std::vector<float> padded((H + 2 * P) * line);
        #pragma omp for
        for (int c = 0; c < C; c++) {
            // Of an image first, then of all: in float32, one sum of so many would lose digits.
            float total[K * K] = {};
            for (int b = 0; b < B; b++) {
                const long plane = ((long)b * C + c) * H * W;
                pad<W, P>(x + plane, padded.data(), H);
                for (int tap = 0; tap < K * K; tap++) {
                    float sums[W] = {};
                    for (int i = 0; i < H; i++) {
                        const float* row = padded.data() + (i + tap / K * D) * line + tap % K * D;
                        const float* by = grad + plane + i * W;
                        for (int j = 0; j < W; j++) sums[j] += row[j] * by[j];
                    }
                    float sum = 0;
                    for (int j = 0; j < W; j++) sum += sums[j];
                    total[tap] += sum;
                }
            }
            for (int tap = 0; tap < K * K; tap++) out[c * K * K + tap] = total[tap];
        }
    }
}
