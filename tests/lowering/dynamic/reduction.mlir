// Rows summed, with what is summed computed on the way, and the largest of the first sum read by the host and used again.
func.func @main(%values: tensor<?x?xf32>) -> (tensor<?xf32>, tensor<?x?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %values, %c0 : tensor<?x?xf32>
  %n = tensor.dim %values, %c1 : tensor<?x?xf32>
  %whole = tensor.empty(%m, %n) : tensor<?x?xf32>
  %squares = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
    ins(%values : tensor<?x?xf32>) outs(%whole : tensor<?x?xf32>) {
  ^bb0(%value: f32, %out: f32):
    %square = arith.mulf %value, %value : f32
    linalg.yield %square : f32
  } -> tensor<?x?xf32>
  %empty = tensor.empty(%m) : tensor<?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  %sums = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>],
      iterator_types = ["parallel", "reduction"]}
    ins(%squares : tensor<?x?xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%value: f32, %sum: f32):
    %next = arith.addf %value, %sum : f32
    linalg.yield %next : f32
  } -> tensor<?xf32>
  %empty0 = tensor.empty() : tensor<f32>
  %init0 = linalg.fill ins(%zero : f32) outs(%empty0 : tensor<f32>) -> tensor<f32>
  %total = linalg.generic {indexing_maps = [affine_map<(m) -> (m)>, affine_map<(m) -> ()>], iterator_types = ["reduction"]}
    ins(%sums : tensor<?xf32>) outs(%init0 : tensor<f32>) {
  ^bb0(%value: f32, %sum: f32):
    %next = arith.addf %value, %sum : f32
    linalg.yield %next : f32
  } -> tensor<f32>
  %scalar = tensor.extract %total[] : tensor<f32>
  %scaled = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
    ins(%values, %sums : tensor<?x?xf32>, tensor<?xf32>) outs(%whole : tensor<?x?xf32>) {
  ^bb0(%value: f32, %sum: f32, %out: f32):
    %positive = arith.cmpf ogt, %value, %zero : f32
    %chosen = scf.if %positive -> (f32) {
      %product = arith.mulf %value, %scalar : f32
      scf.yield %product : f32
    } else {
      scf.yield %sum : f32
    }
    linalg.yield %chosen : f32
  } -> tensor<?x?xf32>
  return %sums, %scaled : tensor<?xf32>, tensor<?x?xf32>
}
