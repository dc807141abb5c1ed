#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <unordered_map>
#include <utility>

namespace hint::cuda {

/// A cache: values by key, in the order of their last use.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class Recent {
 public:
  Recent() = default;
  Recent(Recent&&) = default;
  Recent& operator=(Recent&&) = default;

  size_t size() const { return places_.size(); }
  /// The value of a key, which becomes the most recently used; null when the key has none.
  Value* find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    order_.splice(order_.end(), order_, found->second);
    return &found->second->second;
  }
  /// Adds the value of a key that has none. Its address is valid until takeOldest() returns it.
  Value& add(const Key& key, Value value) {
    order_.emplace_back(nullptr, std::move(value));
    const auto place = std::prev(order_.end());
    place->first = &places_.emplace(key, place).first->first;
    return place->second;
  }
  /// Removes and returns the least recently used value. The cache must not be empty.
  Value takeOldest() {
    Value oldest = std::move(order_.front().second);
    places_.erase(places_.find(*order_.front().first));
    order_.pop_front();
    return oldest;
  }

 private:
  using Order = std::list<std::pair<const Key*, Value>>;
  Order order_;  ///< with the keys where `places_` has them
  std::unordered_map<Key, typename Order::iterator, Hash> places_;
};

}  // namespace hint::cuda
