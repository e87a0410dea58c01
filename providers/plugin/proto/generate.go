// SPDX-License-Identifier: Apache-2.0

// Package proto is generated from provider.proto: messages and stubs, nothing by hand.
package proto

//go:generate ./generate.sh
