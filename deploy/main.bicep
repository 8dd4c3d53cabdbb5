// A session pool for remote kernels: registry, environment, pool, and who may use it. docs/azure.md leads through it.
//
// It is deployed twice: without an image it makes the registry, in which the image is built; with one it makes the pool.

@description('Region of everything; one that has dynamic sessions.')
param location string = resourceGroup().location

@description('Name of the pool; the other names are made from it.')
@minLength(3)
@maxLength(24)
param name string = 'notebooks'

@description('Image in the registry with a tag of its own, such as "pod:1"; empty to make no pool yet.')
param image string = ''

@description('Object ids of the people, groups or programs that may use sessions.')
param executors array = []

@description('What all of them are.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param executorType string = 'User'

@description('The ceiling: how many sessions there may be at a time.')
@minValue(1)
param maxConcurrentSessions int = 20

@description('How many pods wait for new sessions; they are paid for.')
@minValue(0)
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

// Pools of custom containers need an environment with workload profiles.
resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: '${name}-environment'
  location: location
  properties: {
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

// A preview version, as the stable ones have no probes.
resource pool 'Microsoft.App/sessionPools@2025-10-02-preview' = if (!empty(image)) {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${puller.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    poolManagementType: 'Dynamic'
    containerType: 'CustomContainer'
    scaleConfiguration: {
      maxConcurrentSessions: maxConcurrentSessions
      readySessionInstances: readySessionInstances
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
    managedIdentitySettings: [
      {
        identity: puller.id
        lifecycle: 'None'
      }
    ]
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
          image: '${registry.properties.loginServer}/${image}'
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          env: [
            {
              // The kernel calls the pod three times in this time while it wants it kept.
              name: 'REMOTE_KERNEL_POD_COOLDOWN_SECONDS'
              value: string(cooldownPeriodInSeconds)
            }
          ]
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
output endpoint string = empty(image) ? '' : pool!.properties.poolManagementEndpoint
