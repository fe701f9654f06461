#include "kernels/kernels.h"

static_assert (sizeof (KernelOps) > 0, "kernels.h compiles as C++");
