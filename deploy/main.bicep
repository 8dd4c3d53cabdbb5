// A session pool for remote kernels: registry, environment, pool, and who may use it. docs/azure.md leads through it.
//
// It is deployed twice: without an image it makes the registry, in which the image is built; with one it makes the pool.

@description('Region of everything; one that has dynamic sessions.')
param location string = resourceGroup().location

@description('Name of the pool; the other names are made from it.')
@minLength(3)
@maxLength(24)
param name string = 'notebooks'

@description('Image in the registry with a tag of its own, such as "pod:3f9a02c"; empty to make no pool yet.')
param image string = ''

@description('Object ids of the people, groups or programs that may use sessions.')
param executors array = []

@description('What all of them are.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param executorType string = 'User'

@description('The ceiling: how many sessions there may be at a time.')
@minValue(2)
param maxConcurrentSessions int = 20

@description('How many pods wait for new sessions, fewer than the ceiling; they are paid for all the time.')
@minValue(1)
param readySessionInstances int = 1

@description('After how many seconds without a request a session is given up.')
@minValue(300)
@maxValue(3600)
param cooldownPeriodInSeconds int = 600

@description('Whether cells may reach the network.')
param egress bool = false

@description('Cores of a session, as text because they may be a fraction.')
param cpu string = '1.0'

@description('Memory of a session.')
param memory string = '2Gi'

@description('Variables of the pods, as { name, value }: all of them, as each deployment replaces what was there.')
param environmentVariables array = []

@description('Id of a user-assigned identity whose tokens the code in sessions may get; empty for none.')
param sessionIdentity string = ''

@description('For how many days logs are kept.')
@minValue(30)
param logRetentionInDays int = 30

// A pool does not pull a tag again that it has seen.
var poolImage = empty(image) || (contains(image, ':') && !endsWith(image, ':latest'))
  ? image
  : fail('Give the image a tag of its own for every change, such as pod:3f9a02c.')
// Azure refuses others (SessionPoolInvalidReadySessionInstances), some minutes later.
var readySessions = readySessionInstances < maxConcurrentSessions
  ? readySessionInstances
  : fail('readySessionInstances has to be below maxConcurrentSessions.')

var targetPort = 8080
// Ids of built-in roles, the same in every tenant.
var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'
var sessionExecutor = '0fb8eba5-a2bb-4abe-b1c1-49dfad359bb0'

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  name: '${replace(name, '-', '')}${uniqueString(resourceGroup().id)}'
  location: location
  sku: {
    name: 'Basic'
  }
  properties: {
    adminUserEnabled: false
  }
}

// Pulls the image and nothing else: sessions cannot get at it.
resource puller 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-puller'
  location: location
}

resource mayPull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, puller.id, acrPull)
  scope: registry
  properties: {
    principalId: puller.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
  }
}

// What sessions write, and why one does not start.
resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionInDays
  }
}

// Pools of custom containers need an environment with workload profiles.
resource environment 'Microsoft.App/managedEnvironments@2026-07-01' = {
  name: '${name}-environment'
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

// Of the environment, as a pool has metrics only. Categories and tables differ: AppEnvSessionLifeCycleLogs goes to
// AppEnvSessionLifecycleLogs.
resource sessionLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'sessions'
  scope: environment
  properties: {
    workspaceId: logs.id
    logs: [
      {
        category: 'AppEnvSessionConsoleLogs'
        enabled: true
      }
      {
        category: 'AppEnvSessionLifeCycleLogs'
        enabled: true
      }
      {
        category: 'AppEnvSessionPoolEventLogs'
        enabled: true
      }
    ]
  }
}

resource pool 'Microsoft.App/sessionPools@2026-07-01' = if (!empty(image)) {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: union(
      {
        '${puller.id}': {}
      },
      empty(sessionIdentity)
        ? {}
        : {
            '${sessionIdentity}': {}
          }
    )
  }
  properties: {
    environmentId: environment.id
    poolManagementType: 'Dynamic'
    containerType: 'CustomContainer'
    scaleConfiguration: {
      maxConcurrentSessions: maxConcurrentSessions
      readySessionInstances: readySessions
    }
    dynamicPoolConfiguration: {
      lifecycleConfiguration: {
        lifecycleType: 'Timed'
        cooldownPeriodInSeconds: cooldownPeriodInSeconds
      }
    }
    sessionNetworkConfiguration: {
      status: egress ? 'EgressEnabled' : 'EgressDisabled'
    }
    managedIdentitySettings: concat(
      [
        {
          identity: puller.id
          lifecycle: 'None'
        }
      ],
      empty(sessionIdentity)
        ? []
        : [
            {
              identity: sessionIdentity
              lifecycle: 'Main'
            }
          ]
    )
    customContainerTemplate: {
      registryCredentials: {
        server: registry.properties.loginServer
        identity: puller.id
      }
      ingress: {
        targetPort: targetPort
      }
      containers: [
        {
          name: 'pod'
          image: '${registry.properties.loginServer}/${poolImage}'
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          env: concat(
            [
              {
                // The kernel calls the pod three times in this time while it wants it kept.
                name: 'REMOTE_KERNEL_POD_COOLDOWN_SECONDS'
                value: string(cooldownPeriodInSeconds)
              }
            ],
            environmentVariables
          )
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/health'
                port: targetPort
              }
              periodSeconds: 5
              failureThreshold: 10
            }
            {
              // Generous: a session that is ended takes its variables with it.
              type: 'Liveness'
              httpGet: {
                path: '/health'
                port: targetPort
              }
              periodSeconds: 30
              timeoutSeconds: 10
              failureThreshold: 10
            }
          ]
        }
      ]
    }
  }
  dependsOn: [
    mayPull
  ]
}

resource mayExecute 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for executor in executors: if (!empty(image)) {
    name: guid(pool.id, executor, sessionExecutor)
    scope: pool
    properties: {
      principalId: executor
      principalType: executorType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sessionExecutor)
    }
  }
]

output registryName string = registry.name
output workspaceId string = logs.properties.customerId
output poolId string = empty(image) ? '' : pool.id
output endpoint string = empty(image) ? '' : pool!.properties.poolManagementEndpoint
