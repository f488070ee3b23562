# Installs what is missing, configures once, builds. Read by tutorials/run and tests/run, which set $root.
# Speaks on standard error only and reads nothing: both streams belong to the program that is run afterwards.
# UNROLL_BUILD names another build tree than ./build (one that cmake configured before keeps its options).

build=${UNROLL_BUILD:-$root/build}

say() { printf 'unroll: %s\n' "$*" >&2; }

# packages MANAGER "NAME...": what apt, dnf or brew calls these rows of packages.txt
packages() {
  # shellcheck disable=SC2034  # eval reads them
  while read -r name group apt dnf brew; do
    case "$name" in '' | '#'*) continue ;; esac
    case " $2 " in *" $name "*) eval "printf ' %s' \"\$$1\"" ;; esac
  done <"$root/.cmake/packages.txt"
}

# names "GROUP...": the rows of packages.txt that belong to these groups
names() {
  while read -r name group rest; do
    case " $1 " in *" $group "*) printf '%s ' "$name" ;; esac
  done <"$root/.cmake/packages.txt"
}

have() { command -v "$1" >/dev/null 2>&1; }

missing_tools() {
  have "${CXX:-c++}" || have g++ || have clang++ || printf 'compiler '
  have cmake || printf 'cmake '
  have ninja || have make || printf 'ninja '
}

apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

# install_packages "NAME...": false where it cannot be done
install_packages() {
  have apt-get || return 1
  list=$(packages apt "$1")
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif have sudo && { sudo -n true 2>/dev/null || [ -t 2 ]; }; then
    as_root=sudo # asks for the password on the terminal when it needs one
  else
    return 1
  fi
  say "installing$list"
  # shellcheck disable=SC2086  # a list of words
  {
    apt install -s $list >/dev/null 2>&1 || { updated=yes && apt update; } # no list of packages yet, or an old one
    apt install --no-install-recommends $list ||
      { [ -z "${updated:-}" ] && apt update && apt install --no-install-recommends $list; }
  } </dev/null >&2
}

give_up() { # give_up "NAME..."
  cat >&2 <<EOF
unroll: needs ${1% }; not all of it is here, and it cannot be installed
        from here (that takes apt-get with root or sudo, and the network). Please install
  Debian, Ubuntu:  apt-get install$(packages apt "$1")
  Fedora:          dnf install$(packages dnf "$1")
  macOS:           brew install$(packages brew "$1")
  and run the same command again.
EOF
  exit 1
}

# configure OPTIONS...: quiet when it succeeds (CMakeLists.txt leaves build/configured then, and the names of what
# it did not find in build/missing.txt, either way)
configure() {
  say "configuring $build"
  rm -f "$build/configured" "$build/missing.txt"
  cmake -S "$root" -B "$build" "$@" </dev/null >"$build/configure.log" 2>&1 || rm -f "$build/configured"
  missing=$({ tr '\n' ' ' <"$build/missing.txt"; } 2>/dev/null)
  missing=${missing% }
  [ -f "$build/configured" ]
}

# make_ready "GROUP..." TARGET: leaves the target built
make_ready() {
  tools=$(missing_tools)
  if [ -n "$tools" ]; then
    install_packages "$tools" || give_up "$(names "$1")"
  fi

  mkdir -p "$build" || exit 1
  if have flock; then # one build at a time in one tree
    exec 9>"$build/.lock"
    flock -n 9 || { say "waiting for another build in $build"; flock 9; }
  fi

  cache=$build/CMakeCache.txt
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
    rm -rf "$cache" "$build/CMakeFiles" # the folder was moved or copied
  fi
  tests=OFF # the lessons do without Boost
  case $1 in *tests*) tests=ON ;; esac
  options=
  if [ ! -f "$cache" ]; then
    options="-DCMAKE_BUILD_TYPE=Release -DUNROLL_NATIVE=ON -DUNROLL_TESTS=$tests"
    if have ninja; then options="-G Ninja $options"; fi
  elif [ $tests = ON ] && ! grep -q '^UNROLL_TESTS:BOOL=ON' "$cache"; then
    options=-DUNROLL_TESTS=ON
  elif [ ! -f "$build/configured" ]; then
    options=-DUNROLL_TESTS=$tests
  fi
  # shellcheck disable=SC2086  # lists of words
  if [ -n "$options" ]; then
    if ! configure $options || [ -n "$missing" ]; then
      if [ -n "$missing" ] && install_packages "$missing"; then
        configure $options
      fi
      if [ ! -f "$build/configured" ]; then
        if [ -n "$missing" ]; then give_up "$missing"; fi
        cat "$build/configure.log" >&2
        exit 1
      fi
      if [ -n "$missing" ]; then say "going on without $missing (the program can do less)"; fi
    fi
  fi

  # Nothing newer than the last build: not even a line from ninja.
  if [ ! -f "$build/built-$2" ] || [ -n "$(find "$root/CMakeLists.txt" "$root/.cmake" "$root/ad" "$root/rnn" "$root/rules" \
    "$root/tutorials" "$root/tests" "$build/configured" -newer "$build/built-$2" | head -n 1)" ]; then
    touch "$build/building"
    cmake --build "$build" --target "$2" --parallel "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)" </dev/null >&2 ||
      exit 1
    mv "$build/building" "$build/built-$2"
  fi
  exec 9>&-
}
