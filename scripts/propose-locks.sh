#!/usr/bin/env bash
# Open a pull request with the locks as they are in this folder, or renew the one that is open. Needs GH_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."

if git diff --quiet -- locks; then
  echo "propose-locks: nothing is newer"
  exit 0
fi
branch=update/locks
git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
git checkout --quiet -B "$branch"
git commit --quiet --message "locks: newest versions that fit" -- locks
gh auth setup-git
git push --quiet --force origin "$branch"
if [ -z "$(gh pr list --head "$branch" --state open --json number --jq '.[].number')" ]; then
  gh pr create --head "$branch" --title "locks: newest versions that fit" \
    --body "Made by the workflow update. All checks and tests passed on these locks in the run that made them."
fi
