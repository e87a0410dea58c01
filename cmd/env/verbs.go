// SPDX-License-Identifier: Apache-2.0

package main

// verbs are all that the command can do, in the order in which a newcomer meets them.
func (a *App) verbs() []verb {
	return []verb{
		a.initVerb(), a.validateVerb(), a.planVerb(), a.upVerb(), a.statusVerb(), a.sshVerb(), a.sshConfigVerb(), a.cpVerb(), a.syncVerb(), a.logsVerb(), a.runVerb(), a.stopVerb(), a.startVerb(), a.suspendVerb(), a.resumeVerb(),
		a.rebuildVerb(), a.refreshVerb(), a.downVerb(), a.factsVerb(), a.auditVerb(), a.auditVerifyVerb(), a.compareVerb(), a.historyVerb(), a.snapshotVerb(), a.accessVerb(), a.trustVerb(), a.imageVerb(), a.gcVerb(), a.doctorVerb(), a.providersVerb(), a.schemaVerb(), a.hookVerb(),
		a.completionVerb(), a.versionVerb(),
	}
}
