/* A driver that stands for any: it has no device unless the environment gives it some.
 *
 * STUB_VERSION      newest CUDA that it knows, default 12040 (12.4)
 * STUB_DEVICES      compute capabilities with commas: 7.5,8.6; default none
 * STUB_FREE_MIB     free memory of each device of 24576 MiB, default 24000
 * STUB_INIT         what cuInit answers, default 0, or 100 where there is no device
 * STUB_CONTEXT      what a context on a device answers, default 0: 2 out of memory, 46 device unavailable
 * STUB_CRASH        if set, counting the devices ends the process; hang: it never ends
 *
 * What MXNet's build links to beside these answers 100, CUDA_ERROR_NO_DEVICE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long setting(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static const char *capability(int device) {
  const char *text = getenv("STUB_DEVICES");
  while (device-- > 0 && text) text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL;
  return text && *text ? text : NULL;
}

int cuDriverGetVersion(int *version) { *version = (int)setting("STUB_VERSION", 12040); return 0; }
int cuInit(unsigned flags) { (void)flags; return (int)setting("STUB_INIT", capability(0) ? 0 : 100); }
int cuDeviceGetCount(int *count) {
  if (getenv("STUB_CRASH")) { if (!strcmp(getenv("STUB_CRASH"), "hang")) for (;;) pause(); else abort(); }
  for (*count = 0; capability(*count); ++*count) {}
  return *count ? 0 : 100;
}
int cuDeviceGet(int *device, int number) { *device = number; return capability(number) ? 0 : 101; }
int cuDeviceGetName(char *name, int size, int device) {
  const char *text = capability(device);
  snprintf(name, size, "Stub %.*s", (int)strcspn(text, ","), text);
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  const char *text = capability(device);
  *value = attribute == 75 ? atoi(text) : attribute == 76 ? atoi(strchr(text, '.') + 1) : 0;
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)24576 << 20; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
  (void)device; *context = NULL;
  return (int)setting("STUB_CONTEXT", capability(0) ? 0 : 100);
}
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
int cuCtxPushCurrent_v2(void *context) { (void)context; return 0; }
int cuCtxPopCurrent_v2(void **context) { *context = NULL; return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = (size_t)setting("STUB_FREE_MIB", 24000) << 20; *total = (size_t)24576 << 20;
  return 0;
}
int cuGetErrorString(int code, const char **text) {
  *text = code == 2 ? "out of memory" : code == 46 ? "CUDA-capable device(s) is/are busy or unavailable"
        : code == 100 ? "no CUDA-capable device is detected" : "unknown error";
  return 0;
}

#define REFUSED(name) int name(void) { return 100; }
REFUSED(cuGraphKernelNodeGetParams)
REFUSED(cuGraphNodeGetType)
REFUSED(cuLaunchKernel)
REFUSED(cuModuleGetFunction)
REFUSED(cuModuleLoadData)
REFUSED(cuModuleLoadDataEx)
REFUSED(cuModuleUnload)
