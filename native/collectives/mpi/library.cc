#include <mpi.h>

#include <cstdlib>
#include <vector>

#include "native/collectives/mpi_library.h"
#include "native/core/error.h"

namespace hint {
namespace {

void require(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING + 1] = {};
  int length = 0;
  MPI_Error_string(status, text, &length);
  fail("RANK_LOST", "MPI could not ", what, ": ", text, ". Resume the run from its last checkpoint.");
}

class MpiMessages final : public Messages {
 public:
  MpiMessages() {
    // A communicator of its own, so that an error is an answer and does not end the process.
    require(MPI_Comm_dup(MPI_COMM_WORLD, &communicator_), "join the run");
    MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(communicator_, &rank_);
    MPI_Comm_size(communicator_, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void send(int to, const void* data, size_t bytes) override {
    require(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, kTag, communicator_, &open_.emplace_back()),
            "send to another rank");
  }
  void receive(int from, void* data, size_t bytes) override {
    require(MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, kTag, communicator_, &open_.emplace_back()),
            "receive from another rank");
  }
  bool areDone() override {
    int done = 1;
    if (!open_.empty())
      require(MPI_Testall(static_cast<int>(open_.size()), open_.data(), &done, MPI_STATUSES_IGNORE),
              "exchange values with other ranks");
    if (done) open_.clear();
    return done != 0;
  }
  void close() override {
    MPI_Comm_free(&communicator_);
    MPI_Finalize();
  }

 private:
  static constexpr int kTag = 17;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  std::vector<MPI_Request> open_;
};

std::string version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  // The first line, up to what Open MPI says of who packaged it.
  const std::string whole(text);
  return whole.substr(0, whole.find_first_of(",\n"));
}

std::unique_ptr<Messages> join() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised)
    fail("NOT_SUPPORTED",
         "This process has joined its ranks before, and MPI lets it do so once; use the group it had.");
  // Faults of the process are answered by the engine, which reads mapped files.
  setenv("OMPI_MCA_opal_signal", "", 0);
  int provided = 0;
  require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "start");
  return std::make_unique<MpiMessages>();
}

}  // namespace
}  // namespace hint

extern "C" __attribute__((visibility("default"))) const hint::MpiLibrary hint_mpi_library;
const hint::MpiLibrary hint_mpi_library = {hint::kMpiAbi, hint::version, hint::join};
