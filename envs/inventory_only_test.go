// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"testing"

	"github.com/evenkeel/evenkeel/envs"
)

// Whoever only reads machines has no recipe to name.
func TestMachinesThatExistAlreadyNeedNoImage(t *testing.T) {
	inProject(t, map[string]string{"env.yaml": `evenkeel: 1
name: fleet
id: "3b9a01"
machines: {web: {count: 600}, db: {}}
tiers:
  production: {provider: hosts, config: {inventory: production.ini}}
`})
	def, problems, err := envs.Load("env.yaml")
	if err != nil || problems != nil {
		t.Fatalf("got %v, %v; want no problem", problems, err)
	}
	plan, problems := envs.MakePlan(def, envs.Options{Providers: []string{"hosts"}, Locked: true})
	if plan == nil || problems.Err() != nil {
		t.Fatalf("got problems %v, want a plan", problems)
	}
	if len(plan.Machines) != 601 || len(plan.Recipes) != 0 || plan.Machines[0].Image != "" {
		t.Errorf("got %d machines of %d recipes, the first of %q; want 601 of none", len(plan.Machines), len(plan.Recipes), plan.Machines[0].Image)
	}
}
