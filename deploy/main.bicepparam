// What a pool is to be, in one place: each deployment makes it so again, variables and all. Keep your own copy of it.
using 'main.bicep'

param name = 'notebooks'
// The tag of each build, from the shell, as it differs each time.
param image = readEnvironmentVariable('IMAGE', '')
// Your own id: az ad signed-in-user show --query id --output tsv
param executors = empty(readEnvironmentVariable('EXECUTOR', '')) ? [] : [readEnvironmentVariable('EXECUTOR', '')]
param maxConcurrentSessions = 20
param readySessionInstances = 1
param cooldownPeriodInSeconds = 600
param egress = false
param environmentVariables = []
