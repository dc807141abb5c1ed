#pragma once

#include <memory>

namespace hint {

/// Keeps something as long as the process lives: memory that other ranks were promised and may still write into, when
/// this rank has stopped waiting for them.
void abandon(std::shared_ptr<void> kept);

}  // namespace hint
