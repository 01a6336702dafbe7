#pragma once
#include "daemon/proc/sample.h"
