// How long a file that includes the whole engine takes to compile, against one that includes Eigen/Dense.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include "pair.h"

namespace {

namespace fs = std::filesystem;

/// Two files in a folder of their own, which goes with this object.
class Files {
 public:
  Files() {
    std::string engine;
    for (const fs::path& folder : {fs::path(BENCH_SOURCE) / "ad", fs::path(BENCH_SOURCE) / "ad" / "trace"}) {
      for (const auto& file : fs::directory_iterator(folder)) {
        if (file.path().extension() == ".h") engine += fmt::format("#include \"{}\"\n", file.path().string());
      }
    }
    fs::create_directories(folder_);
    std::ofstream(folder_ / "engine.cpp") << engine;
    std::ofstream(folder_ / "eigen.cpp") << "#include <Eigen/Dense>\n";
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() { fs::remove_all(folder_); }

  void compile(const std::string& file) const {
    const std::string command =
        fmt::format("'{}' {} -std=c++20 -I'{}' -isystem '{}' -c '{}' -o '{}'", BENCH_CXX, BENCH_FLAGS, BENCH_SOURCE,
                    BENCH_EIGEN, (folder_ / file).string(), (folder_ / "out.o").string());
    if (std::system(command.c_str()) != 0) throw std::runtime_error("this does not compile: " + command);
  }

 private:
  fs::path folder_ = fs::temp_directory_path() / fmt::format("unroll-bench-{}", getpid());
};

[[maybe_unused]] const bool added = [] {
  bench::pairs().emplace_back("compiling all of ad/", [] {
    const auto files = std::make_shared<Files>();
    bench::Pair pair{.name = "compiling all of ad/", .reference = "Eigen/Dense", .at_most = 4};
    pair.run_reference = [=] { files->compile("eigen.cpp"); };
    pair.run = [=] { files->compile("engine.cpp"); };
    pair.verify = [] {};  // compile() throws
    pair.clock = bench::children_time;
    return pair;
  });
  return true;
}();

}  // namespace
