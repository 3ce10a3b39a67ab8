#!/usr/bin/env bash
# Installs the packages listed in packages/ that this machine lacks. Does nothing, and needs no root, where all are there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages_in() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"; }

install_debian() {
  local missing=()
  while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done < <(packages_in packages/debian.txt)
  [ ${#missing[@]} -eq 0 ] && return

  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "These packages are missing, and installing them needs root: ${missing[*]}" >&2
      exit 1
    }
    sudo=(sudo)
  fi
  echo "Installing: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_homebrew() {
  local missing=()
  while read -r package; do
    brew list --versions "$package" >/dev/null 2>&1 || missing+=("$package")
  done < <(packages_in packages/homebrew.txt)
  [ ${#missing[@]} -eq 0 ] || brew install "${missing[@]}"
}

if command -v dpkg-query >/dev/null; then
  install_debian
elif command -v brew >/dev/null; then
  install_homebrew
else
  echo "Neither apt nor Homebrew is here: install what packages/debian.txt lists, then run again." >&2
  exit 1
fi
