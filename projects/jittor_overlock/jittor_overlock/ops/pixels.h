// Runs a task for every pixel of N maps of H rows and W columns. A task has `PARTS`, and its call
// (n, i, j, first, last) computes the parts `first` to `last` of pixel (i, j) of map n: a thread of
// the CPU takes whole rows of pixels, a thread of a GPU one part of one pixel.

#ifdef GPU

#define ON_DEVICE __device__ __forceinline__

template <class Task> __global__ void run_part(Task task, int N, int H, int W) {
    const long thread = (long)blockIdx.x * blockDim.x + threadIdx.x, pixel = thread / Task::PARTS;
    const int part = thread % Task::PARTS, n = pixel / W / H;
    if (n < N) task(n, pixel / W % H, pixel % W, part, part + 1);
}

#ifndef __CUDACC_RTC__ // which compiles for the device alone
template <class Task> void for_every_pixel(Task task, int N, int H, int W) {
    const long threads = (long)N * H * W * Task::PARTS;
    run_part<<<(threads + 255) / 256, 256>>>(task, N, H, W);
}
#endif

#else

#define ON_DEVICE inline

template <class Task> void for_every_pixel(Task task, int N, int H, int W) {
    #pragma omp parallel for
    for (int row = 0; row < N * H; row++)
        for (int j = 0; j < W; j++) task(row / H, row % H, j, 0, Task::PARTS);
}

#endif
