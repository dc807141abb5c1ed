#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <unordered_map>
#include <utility>

namespace hint::cuda {

/// Values by key, in the order of their last use: what is made once per key and kept, but not all of it for ever.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class Recent {
 public:
  Recent() = default;
  Recent(Recent&&) = default;
  Recent& operator=(Recent&&) = default;

  size_t size() const { return places_.size(); }
  /// The value of a key, which is then the last one used; null when there is none.
  Value* find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    order_.splice(order_.end(), order_, found->second);
    return &found->second->second;
  }
  /// Adds the value of a key that has none. It stays where it is until it is taken.
  Value& add(const Key& key, Value value) {
    order_.emplace_back(nullptr, std::move(value));
    const auto place = std::prev(order_.end());
    place->first = &places_.emplace(key, place).first->first;
    return place->second;
  }
  /// Takes out the value that was not used for longest. There must be one.
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
