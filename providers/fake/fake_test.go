// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"os"
	"testing"

	"github.com/evenkeel/evenkeel/providers/fake"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}
