#!/bin/sh
# A checker for pinfold crash explore: is the SQLite database /db.sqlite of an ext4 image sound after a power cut?
# The file system is put in order first, as at boot; the database is taken out with what belongs to it.
#
#   check-sqlite.sh IMAGE

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fsck.ext4 -fy "$1" >"$folder/fsck" 2>&1
[ $? -lt 4 ] || { echo 'fsck.ext4 cannot put the file system in order'; cat "$folder/fsck"; exit 1; }
for file in db.sqlite db.sqlite-journal db.sqlite-wal; do
  debugfs -R "dump /$file $folder/$file" "$1" 2>/dev/null
done
[ -s "$folder/db.sqlite" ] || exit 0
result=$(sqlite3 "$folder/db.sqlite" 'PRAGMA integrity_check' 2>&1)
[ "$result" = ok ] || { echo "integrity_check: $result"; exit 1; }
