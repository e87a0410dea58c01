// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/evenkeel/evenkeel/parity"
)

// TODO(audit): parity.ReadSnapshots, when it is there.
func readSnapshots(r io.Reader, name string, take func(*parity.Snapshot) error) error {
	dec := json.NewDecoder(r)
	for {
		var s parity.Snapshot
		err := dec.Decode(&s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read snapshots of %s: %w", name, err)
		}
		if err := take(&s); err != nil {
			return err
		}
	}
}
