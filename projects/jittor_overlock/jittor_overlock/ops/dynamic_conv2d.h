// The place of pixel (i, j) of map n.
ON_DEVICE long place(int n, int i, int j, int H, int W) { return ((long)n * H + i) * W + j; }

// Where the window of pixel i starts, on an axis of `length`.
ON_DEVICE int window_start(int i, int length, int size) {
    const int start = i - size / 2, last = length - size;
    return start < 0 ? 0 : start > last ? last : start;
}

// The place of the first pixel in the window of pixel (i, j).
ON_DEVICE long window(int n, int i, int j, int H, int W, int size) {
    return place(n, window_start(i, H, size), window_start(j, W, size), H, W);
}

// The pixels in whose windows i lies.
ON_DEVICE int first_pixel(int i, int size) { return i < size ? 0 : i - size / 2; }
ON_DEVICE int last_pixel(int i, int length, int size) {
    return i >= length - size ? length - 1 : i + size / 2;
}

template <int K, int C> struct Forward {
    enum { PARTS = C };
    const float *kernels, *value;
    float* out;
    int H, W;
    ON_DEVICE void operator()(int n, int i, int j, int first, int last) const {
        const long pixel = place(n, i, j, H, W);
        const float* kernel = kernels + pixel * (K * K);
        const float* corner = value + window(n, i, j, H, W, K) * C;
        float sums[C] = {};
        for (int a = 0; a < K; a++)
            for (int b = 0; b < K; b++)
                for (int c = first; c < last; c++)
                    sums[c] += kernel[a * K + b] * corner[((long)a * W + b) * C + c];
        for (int c = first; c < last; c++) out[pixel * C + c] = sums[c];
    }
};

template <int K, int C> struct GradKernels {
    enum { PARTS = K * K };
    const float *value, *grad_out;
    float* grad_kernels;
    int H, W;
    ON_DEVICE void operator()(int n, int i, int j, int first, int last) const {
        const long pixel = place(n, i, j, H, W);
        const float* grad = grad_out + pixel * C;
        const float* corner = value + window(n, i, j, H, W, K) * C;
        for (int tap = first; tap < last; tap++) {
            const float* seen = corner + ((long)(tap / K) * W + tap % K) * C;
            float sum = 0;
            for (int c = 0; c < C; c++) sum += grad[c] * seen[c];
            grad_kernels[pixel * (K * K) + tap] = sum;
        }
    }
};

template <int K, int C> struct GradValue {
    enum { PARTS = C };
    const float *kernels, *grad_out;
    float* grad_value;
    int H, W;
    ON_DEVICE void operator()(int n, int i, int j, int first, int last) const {
        float sums[C] = {};
        for (int y = first_pixel(i, K); y <= last_pixel(i, H, K); y++) {
            const int a = i - window_start(y, H, K);
            for (int x = first_pixel(j, K); x <= last_pixel(j, W, K); x++) {
                const int b = j - window_start(x, W, K);
                const long pixel = place(n, y, x, H, W);
                const float weight = kernels[pixel * (K * K) + a * K + b];
                for (int c = first; c < last; c++) sums[c] += weight * grad_out[pixel * C + c];
            }
        }
        float* result = grad_value + place(n, i, j, H, W) * C;
        for (int c = first; c < last; c++) result[c] = sums[c];
    }
};
