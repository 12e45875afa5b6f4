"""Packs in somebody's own repository: written, updated, checked, and described for npm, Cargo and Go.

lock            the lock file: which packs were written, and the SHA-256 of every file
npm             package.json, so that the folder is a package for Node
cargo           Cargo.toml and src/lib.rs, so that the folder is a crate
go              go.mod and embed.go, so that the folder is a Go module
contents        every file of a folder of vendored packs
writing         how the files come into a folder, and what may be in the way
withdrawn       the list of packs and cases that were found to be wrong
checking        whether a folder is damaged, stale or withdrawn
"""
