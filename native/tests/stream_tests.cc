#include "native/tests/check.h"
