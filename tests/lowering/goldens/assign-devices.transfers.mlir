// Two products share their right side, each on a device of its own: the right side is brought over once, in rows, and
// each device sets its own encodings. The constant is not brought anywhere.

device.declare @fast = "cpu@x86-64-v4:1"
device.declare @slow = "reference"

func.func @main(%a: tensor<1x8x16xf32> {device.affinity = @fast}, %shared: tensor<1x16x24xf32> {device.affinity = @fast})
    -> (tensor<1x8x24xf32> {device.affinity = @slow}, tensor<1x8x24xf32>) {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %weights = "tosa.const"() <{values = dense<0.5> : tensor<1x8x16xf32>}> : () -> tensor<1x8x16xf32>
  %first = "tosa.matmul"(%a, %shared, %zp, %zp) {device.affinity = @fast} : (tensor<1x8x16xf32>, tensor<1x16x24xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x24xf32>
  %second = "tosa.matmul"(%weights, %shared, %zp, %zp) {device.affinity = @slow} : (tensor<1x8x16xf32>, tensor<1x16x24xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x24xf32>
  return %first, %second : tensor<1x8x24xf32>, tensor<1x8x24xf32>
}

// CHECK:      func.func @main(%a: {{.*}}, %shared:
// CHECK-NEXT: [[THERE:%[0-9a-z_]+]] = device.transfer %shared to @slow
// CHECK:      [[WEIGHTS:%[0-9a-z_]+]] = {{.*}}encoding.set{{.*}}%weights{{( |\))}}
// CHECK:      [[A:%[0-9a-z_]+]] = {{.*}}encoding.set{{.*}}%a{{( |\))}}
// CHECK:      [[HERE:%[0-9a-z_]+]] = {{.*}}encoding.set{{.*}}%shared{{( |\))}}
// CHECK:      [[BROUGHT:%[0-9a-z_]+]] = {{.*}}encoding.set{{.*}}[[THERE]]{{( |\))}}
// CHECK:      %first = "dispatch.region"([[A]], [[HERE]]) <{device = "fast"}>
// CHECK-NOT:  device.affinity
// CHECK:      [[ROWS:%[0-9a-z_]+]] = {{.*}}encoding.unset{{.*}}%first{{( |\))}}
// CHECK:      [[FIRST:%[0-9a-z_]+]] = device.transfer [[ROWS]] to @slow
// CHECK:      %second = "dispatch.region"([[WEIGHTS]], [[BROUGHT]]) <{device = "slow"}>
// CHECK:      [[SECOND:%[0-9a-z_]+]] = {{.*}}encoding.unset{{.*}}%second{{( |\))}}
// CHECK:      func.return [[FIRST]], [[SECOND]]
