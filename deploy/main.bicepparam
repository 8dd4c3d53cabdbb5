using 'main.bicep'

param name = 'notebooks'
param maxConcurrentSessions = 20
param readySessionInstances = 1
param cooldownPeriodInSeconds = 600
param egress = false
// Your own id: az ad signed-in-user show --query id --output tsv
param executors = []
