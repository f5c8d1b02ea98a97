#include <omp.h>
#include <cblas.h>

// Each thread computes rows of its own, so that results do not depend on the number of threads.
static void product(const float* a, const float* b, float* out, int M, int N, int K,
                    bool transpose_a, bool transpose_b) {
    scipy_openblas_set_num_threads(1);
    #pragma omp parallel
    {
        const long thread = omp_get_thread_num(), threads = omp_get_num_threads();
        const long first = M * thread / threads, last = M * (thread + 1) / threads;
        if (last > first)
            scipy_cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                              transpose_b ? CblasTrans : CblasNoTrans, last - first, N, K,
                              1, a + (transpose_a ? first : first * K), transpose_a ? M : K,
                              b, transpose_b ? K : N, 0, out + first * N, N);
    }
}
