; Every elementary function, at 1, 1/4, 4 and 2; from the scratchpad and back.
; design: fp8-16x16
.data 0x0 fp32 =1 =0.25 =4 =2
.expect 0x100 fp32 =2.718281828459045 =1.2840254166877414 =54.598150033144236 =7.38905609893065
.expect 0x110 fp32 =2 =1.189207115002721 =16 =4
.expect 0x120 fp32 =0 =-1.3862943611198906 =1.3862943611198906 =0.6931471805599453
.expect 0x130 fp32 =0 =-2 =2 =1
.expect 0x140 fp32 =0.7615941559557649 =0.24491866240370913 =0.999329299739067 =0.9640275800758169
.expect 0x150 fp32 =0.7310585786300049 =0.5621765008857981 =0.9820137900379085 =0.8807970779778823
.expect 0x160 fp32 =0.8427007929497149 =0.2763263901682369 =0.9999999845827421 =0.9953222650189527
.expect 0x170 fp32 =1 =4 =0.25 =0.5
.expect 0x180 fp32 =1 =2 =0.5 =0.7071067811865475
.expect 0x190 fp32 =1 =0.5 =2 =1.4142135623730951
format f0, fp32
tensor t0, f0, dram, 0, 1, 4
tensor t1, f0, spm, 0, 1, 4
load t1, t0
tensor t2, f0, spm, 0x10, 1, 4
tensor t3, f0, dram, 0x100, 1, 4
vexp t2, t1
store t3, t2
advance t3, 16
vexp2 t2, t1
store t3, t2
advance t3, 16
vlog t2, t1
store t3, t2
advance t3, 16
vlog2 t2, t1
store t3, t2
advance t3, 16
vtanh t2, t1
store t3, t2
advance t3, 16
vsigmoid t2, t1
store t3, t2
advance t3, 16
verf t2, t1
store t3, t2
advance t3, 16
vrecip t2, t1
store t3, t2
advance t3, 16
vrsqrt t2, t1
store t3, t2
advance t3, 16
vsqrt t2, t1
store t3, t2
advance t3, 16
