// SPDX-License-Identifier: Apache-2.0

// Package sync keeps a folder of the project and a folder of a machine alike, both ways, over a verified SSH session.
//
// What moves are files, their executable bit (and no other, as with git), and symbolic links that stay within the folder; folders come and go with the files in them. What git ignores,
// .git itself, and names that begin with .evenkeel- stay where they are. A baseline on the host remembers what both sides held when they were last alike: what
// differs from it on one side is carried to the other, deletions too; what differs on both is a conflict, and neither side is touched. Without a baseline
// that the machine's folder confirms (a new machine, an emptied folder) nothing counts as deleted.
//
// It is not for places far away: those get a commit (Deliver).
//
// The machine's side is untrusted. Its names are checked before they are used, and on the host everything is written below an os.Root, through no
// symbolic link. On both sides a file is written under a name of its own and renamed, only where the file there is still the one that was compared.
package sync
